//! One side of the protocol as tests want it: it goes as far as a named state, and there it stands still or ends.
//!
//! * as the interpreter of a `python-home`, a worker: `worker`; or, where nobody asks for that, the real Python: `python`
//! * as `peer child …`, a child of httpd's: `child`
//! * `part`: which state, and what happens in it

mod part;
mod python;
mod worker;

fn main() {
    python::interpret(&std::env::args_os().collect::<Vec<_>>())
}
