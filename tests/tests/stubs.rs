//! The type stubs for editors and type checkers: they say what the modules have, and mypy understands them.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use wsgid_tests::stage::staged;
use wsgid_tests::venv::venv;
use wsgid_tests::{Mpm, Stack};

const STUBS: &str = "usr/share/wsgid/stubs";

/// The public names that a stub defines, as `ast` reads it.
const NAMES: &str = "
import ast, json, sys
names = set()
for statement in ast.parse(open(sys.argv[1]).read()).body:
    if isinstance(statement, ast.AnnAssign):
        names.add(statement.target.id)
    elif isinstance(statement, (ast.ClassDef, ast.FunctionDef)):
        names.add(statement.name)
print(json.dumps(sorted(name for name in names if not name.startswith('_'))))
";

#[test]
fn a_stub_has_every_name_of_its_module_and_no_other() {
    let stack = Stack::on(Mpm::Event).app("names").run();
    let live = stack.get("/").expect(200).json();
    for module in ["mod_wsgi", "apache"] {
        let stub = staged(STUBS).join(format!("{module}-stubs/__init__.pyi"));
        let output = Command::new("python3").arg("-c").arg(NAMES).arg(stub).output().unwrap();
        let names: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(names, live[module], "{module}");
        assert!(names.as_array().is_some_and(|names| !names.is_empty()));
    }
}

/// Code as applications have it, and lines that are mistakes behind it.
const RIGHT: &str = r#"
import logging
from typing import Any
import apache
import mod_wsgi

@mod_wsgi.subscribe_events
def hear(name: str, *, request_data: dict[str, Any], **payload: Any) -> None:
    request_data["seen"] = name

logging.getLogger().addHandler(mod_wsgi.LogHandler())
major: int = apache.version[0]
group: str = mod_wsgi.process_group
metrics = mod_wsgi.request_metrics()
if metrics is not None:
    print(metrics["request_count"])
try:
    mod_wsgi.request_data()["key"] = 1
except mod_wsgi.RequestTimeout:
    raise
with open("file", "rb") as file:
    wrapped = mod_wsgi.FileWrapper(file, 1024)
"#;
const WRONG: &[&str] =
    &["mod_wsgi.request_metrics()[\"pid\"]", "number: int = mod_wsgi.process_group", "mod_wsgi.no_such_name"];

/// An environment whose .pth file names the stubs, which is how they are made known.
fn environment(dir: &Path) -> PathBuf {
    let made =
        Command::new("python3").args(["-m", "venv", "--without-pip", "venv"]).current_dir(dir).status();
    assert!(made.unwrap().success());
    let libraries = std::fs::read_dir(dir.join("venv/lib")).unwrap();
    let python = libraries.map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap();
    let line = format!("{}\n", staged(STUBS).display());
    std::fs::write(python.join("site-packages/wsgid-stubs.pth"), line).unwrap();
    dir.join("venv/bin/python")
}

fn mypy(dir: &Path, python: &Path, code: &str) -> (bool, String) {
    std::fs::write(dir.join("code.py"), code).unwrap();
    let mut command = Command::new(venv("mypy", &["mypy>=1.11,<2"]).join("bin/mypy"));
    command.args(["--strict", "--cache-dir=/dev/null", "code.py"]).current_dir(dir);
    let output = command.arg("--python-executable").arg(python).output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn mypy_takes_what_is_right_and_finds_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let python = environment(dir.path());
    let (good, said) = mypy(dir.path(), &python, RIGHT);
    assert!(good, "{said}");
    for line in WRONG {
        let (good, said) = mypy(dir.path(), &python, &format!("{RIGHT}{line}\n"));
        assert!(!good && said.contains("Found 1 error"), "{line}: {said}");
    }
}
