//! What is to be served: a script, or a callable of a module, for which a script is written.

use std::fs;
use std::path::{Path, PathBuf};

/// Where a module's callable goes by, in the script that is written for it.
const CALLABLE: &str = "application";

/// What was asked for does not exist: the command line is at fault.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NoApplication {
    /// No file, and no module either.
    #[error("there is no file {}; an application is a WSGI script or module:callable", .0.display())]
    NoFile(PathBuf),
    /// Something else than a file.
    #[error("{} is not a file; an application is a WSGI script or module:callable", .0.display())]
    NotAFile(PathBuf),
    /// `module:`, `:callable`, `a b:c`.
    #[error("'{0}' is neither a WSGI script nor module:callable")]
    Malformed(String),
}

/// An application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Application {
    /// A WSGI script; its callable is `application`.
    Script(PathBuf),
    /// As `import` knows it from the current directory.
    Module { module: String, callable: String },
}

impl Application {
    /// Understands the command line. A file wins over a module with a colon in its name.
    pub fn parse(text: &str, directory: &Path) -> Result<Self, NoApplication> {
        let path = directory.join(text);
        if path.is_file() {
            // Resolved: Apache looks at the permissions of what is behind a link.
            return Ok(Self::Script(fs::canonicalize(&path).unwrap_or(path)));
        }
        if path.exists() {
            return Err(NoApplication::NotAFile(path));
        }
        let Some((module, callable)) = text.rsplit_once(':') else { return Err(NoApplication::NoFile(path)) };
        if !is_dotted(module) || !is_dotted(callable) {
            return Err(NoApplication::Malformed(text.into()));
        }
        Ok(Self::Module { module: module.into(), callable: callable.into() })
    }

    /// The file to whose owner the application belongs.
    pub fn belongs_with<'a>(&'a self, directory: &'a Path) -> &'a Path {
        match self {
            Self::Script(path) => path,
            Self::Module { .. } => directory,
        }
    }

    /// The callable's name in the script that is served.
    pub fn callable(&self) -> &'static str {
        CALLABLE
    }
}

fn is_dotted(name: &str) -> bool {
    let is_name = |part: &str| {
        let mut letters = part.chars();
        letters.next().is_some_and(|first| first.is_alphabetic() || first == '_')
            && letters.all(|letter| letter.is_alphanumeric() || letter == '_')
    };
    name.split('.').all(is_name)
}

/// The script for a callable of a module.
pub fn script_for_module(module: &str, callable: &str) -> String {
    format!(
        "from functools import reduce\n\
         from importlib import import_module\n\n\
         {CALLABLE} = reduce(getattr, '{callable}'.split('.'), import_module('{module}'))\n"
    )
}

/// The script in front of one that the web server's user can't reach, and so can't be told to serve.
/// The application's user can.
pub fn script_for_script(path: &Path) -> String {
    let path = python_string(&path.to_string_lossy());
    format!(
        "import sys\n\
         from importlib.machinery import SourceFileLoader\n\
         from importlib.util import module_from_spec, spec_from_loader\n\n\
         loader = SourceFileLoader('_wsgid_served', {path})\n\
         module = module_from_spec(spec_from_loader(loader.name, loader))\n\
         sys.modules[loader.name] = module\n\
         loader.exec_module(module)\n\
         {CALLABLE} = module.{CALLABLE}\n"
    )
}

fn python_string(text: &str) -> String {
    let escaped: String = text.chars().flat_map(char::escape_unicode).collect();
    // '\u{2f}' of Rust is '\U0000002f' in Python.
    let mut python = String::from("'");
    for part in escaped.split("\\u{").skip(1) {
        python.push_str(&format!("\\U{:0>8}", part.trim_end_matches('}')));
    }
    python + "'"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_and_modules_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let here = fs::canonicalize(dir.path()).unwrap();
        fs::write(here.join("app.wsgi"), "").unwrap();
        fs::write(here.join("odd:name"), "").unwrap();
        let parse = |text: &str| Application::parse(text, &here);
        assert_eq!(parse("app.wsgi"), Ok(Application::Script(here.join("app.wsgi"))));
        assert_eq!(parse("odd:name"), Ok(Application::Script(here.join("odd:name"))));
        let module = Application::Module { module: "a.b".into(), callable: "c".into() };
        assert_eq!(parse("a.b:c"), Ok(module));
        assert_eq!(parse("gone.wsgi"), Err(NoApplication::NoFile(here.join("gone.wsgi"))));
        assert_eq!(parse("."), Err(NoApplication::NotAFile(here.join("."))));
        for bad in ["a:", ":b", "a b:c", "a:b'", "1a:b"] {
            assert_eq!(parse(bad), Err(NoApplication::Malformed(bad.into())), "{bad}");
        }
    }

    #[test]
    fn any_path_becomes_a_python_string() {
        assert_eq!(python_string("/é'"), "'\\U0000002f\\U000000e9\\U00000027'");
    }
}
