//! `wsgictl`: see [`wsgid::wsgictl`].
use std::process::ExitCode;

fn main() -> ExitCode {
    wsgid::wsgictl::main()
}
