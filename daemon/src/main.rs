//! `wsgid`: see the library.
use std::process::ExitCode;

fn main() -> ExitCode {
    wsgid::cli::main()
}
