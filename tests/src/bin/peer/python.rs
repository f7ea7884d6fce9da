//! The interpreter of a `python-home`: the first start of a worker or a template takes the part that lies in the home,
//! if one does; all others are the system's Python.

use crate::part::Part;
use crate::{template, worker};
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use wsgid_tests::peer::{MARK, PART, fate_of};

/// With the arguments of an interpreter.
pub fn interpret(arguments: &[OsString]) {
    let home = Path::new(&arguments[0]).parent().and_then(Path::parent).expect("HOME/bin/python3");
    // What the daemon starts an interpreter for; what that starts itself is something else.
    let is_bootstrap = |argument: &OsString| argument.to_string_lossy().contains("'_wsgid'");
    let part = arguments.iter().any(is_bootstrap).then(|| take(home)).flatten();
    match part {
        Some(part) if template::STATES.contains(&part.state.as_str()) => template::play(&part),
        Some(part) => worker::play(&part),
        None => panic!("{}", Command::new("/usr/bin/python3").args(&arguments[1..]).exec()),
    }
}

/// Whoever can rename it has it for itself.
fn take(home: &Path) -> Option<Part> {
    let taken = home.join("taken");
    fs::rename(home.join(PART), &taken).ok()?;
    let text = fs::read_to_string(&taken).unwrap();
    let (state, fate) = text.split_once(' ').expect("STATE FATE");
    Some(Part { state: state.into(), fate: fate_of(fate), mark: home.join(MARK) })
}
