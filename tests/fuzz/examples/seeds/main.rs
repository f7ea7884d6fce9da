//! Writes the seeds: inputs that mean something, so that fuzzing begins where the code has been
//! understood. `cargo run --example seeds` from tests/fuzz, after a change of a message or of what a
//! target's input means. Files that fuzzing has found have names of forty digits and stay.

mod exchanges;
mod messages;
mod texts;

use std::io;
use std::path::Path;

/// The target, what the seed shows, and the input.
type Named = (&'static str, &'static str, Vec<u8>);

fn main() -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (target, name, bytes) in [messages::seeds(), exchanges::seeds(), texts::seeds()].concat() {
        let directory = corpus.join(target);
        std::fs::create_dir_all(&directory)?;
        std::fs::write(directory.join(name), bytes)?;
    }
    Ok(())
}
