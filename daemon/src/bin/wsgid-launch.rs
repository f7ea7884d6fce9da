//! `wsgid-launch`: see [`wsgid::launcher`].
use std::process::ExitCode;

fn main() -> ExitCode {
    wsgid::launcher::main()
}
