//! One side of the protocol as tests want it: it goes as far as a named state, and there it stands still or ends.
//!
//! * as the interpreter of a `python-home`, a worker or a template: `worker`, `template`; or, where nobody asks for
//!   that, the real Python: `python`
//! * as `peer copy PART…`, which a template starts: its copy
//! * as `peer child ERRAND…`, a child of httpd's: `child`
//! * `part`: which state, and what happens in it

mod child;
mod part;
mod python;
mod template;
mod worker;

use part::Part;
use wsgid_tests::peer::Errand;

fn main() {
    let arguments: Vec<_> = std::env::args_os().collect();
    match Errand::of(&arguments) {
        Some(errand) => child::play(&Part::of(&errand), &errand),
        None => template::copy(&arguments).unwrap_or_else(|| python::interpret(&arguments)),
    }
}
