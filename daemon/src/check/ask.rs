//! Asks httpd for its configuration: `httpd -t -D DUMP_WSGI`, and what its complaint means if it has one.

use super::dump::{self, Dump, Place};
use super::finding::{Finding, Grade};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Which configuration, and who reads it.
#[derive(Debug, Clone)]
pub struct Inquiry {
    /// httpd, or a script in front of it.
    pub program: PathBuf,
    /// `-f`.
    pub config: Option<PathBuf>,
    /// `-D`.
    pub defines: Vec<String>,
}

/// What httpd said.
#[derive(Debug)]
pub enum Said {
    /// It read everything, and the module told us.
    Told(Box<Dump>),
    /// It stopped at a line.
    Stopped(Finding),
    /// It read everything, and there is no module to tell us.
    Silent,
    /// It failed at no line: its own words.
    Failed(String),
}

/// httpd did not even start.
#[derive(Debug, thiserror::Error)]
#[error("{} can't be run: {error}", .program.display())]
pub struct NotRun {
    program: PathBuf,
    error: std::io::Error,
}

impl Inquiry {
    /// Asks, with the module put before the configuration if there is one to put there: httpd then skips
    /// the configuration's own `LoadModule wsgi_module`, since that name is taken.
    pub fn ask(&self, module: Option<&Path>) -> Result<Said, NotRun> {
        let mut command = Command::new(&self.program);
        if let Some(module) = module {
            let path = module.display().to_string().replace('\\', "\\\\").replace('"', "\\\"");
            command.arg("-C").arg(format!("LoadModule wsgi_module \"{path}\""));
        }
        if let Some(config) = &self.config {
            command.arg("-f").arg(config);
        }
        for name in &self.defines {
            command.arg("-D").arg(name);
        }
        command.args(["-t", "-D", "DUMP_WSGI"]).stdin(Stdio::null()).env("LC_ALL", "C");
        let output = command.output().map_err(|error| NotRun { program: self.program.clone(), error })?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        Ok(match dump::parse(&out) {
            Ok(dump) if output.status.success() => Said::Told(Box::new(dump)),
            Err(dump::Unreadable::Header) | Ok(_) if output.status.success() => Said::Silent,
            Err(fault) if output.status.success() => {
                Said::Failed(format!("what the module printed: {fault}"))
            }
            _ => complaint(&err).map_or_else(|| Said::Failed(err.trim().into()), Said::Stopped),
        })
    }
}

/// httpd's words for a line that it does not accept. Of an include within an include the innermost is
/// meant.
fn complaint(said: &str) -> Option<Finding> {
    const BEGINNING: &str = "yntax error on line ";
    let about = &said[said.rfind(BEGINNING)? + BEGINNING.len()..];
    let (line, rest) = about.split_once(" of ")?;
    let (file, words) = rest.split_once(":\n").or_else(|| rest.split_once(": "))?;
    let words = words.lines().next()?.trim();
    let place = Place { file: file.into(), line: line.parse().ok()? };
    Some(Finding::new(
        Grade::Error,
        &place,
        format!("httpd refuses the configuration here: {words}"),
        mend(words),
    ))
}

/// Might another module of that name, or its absence, be the reason? Then the same with ours tells more.
pub fn may_be_anothers(complaint: &Finding) -> bool {
    ["WSGI", "wsgi"].iter().any(|name| complaint.what.contains(name))
}

/// Complaints that those who move a configuration meet, and what to do.
const KNOWN: &[(&str, &str)] = &[
    (
        "Name duplicates previous WSGI daemon definition",
        "Declare the group once, outside of the virtual hosts or in one of them: the hosts of one ServerName, \
         such as those of ports 80 and 443, share it by WSGIProcessGroup.",
    ),
    (
        "WSGI process group not yet configured",
        "Move the WSGIDaemonProcess of that name above this line, or correct the name.",
    ),
    ("There is no user", "Create that user, or name one that exists in user=."),
    ("There is no group", "Create that group, or name one that exists."),
    ("blocked from running as root", "Give the group a user= of its own, other than root."),
    ("Invalid option to WSGI daemon process", "Correct the option's name; mod_wsgid(5) lists them all."),
    ("Invalid command 'WSGI", "Load the module: LoadModule wsgi_module with the path of mod_wsgid.so."),
    ("Cannot load", "Install that module, or take its LoadModule line out."),
    ("WSGIPassApacheRequest", "Take the line out, and use the WSGI environ in place of the request_rec."),
    ("cannot occur within", "Move the line out of that section."),
    ("not allowed here", "Move the line to where mod_wsgid(5) or httpd's manual says it may stand."),
];

fn mend(words: &str) -> String {
    let known = KNOWN.iter().find(|(part, _)| words.contains(part));
    let known = known.map_or("Correct the line.", |(_, mend)| mend);
    format!("{known} Then check again: nothing behind this line has been read.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_has_its_place_and_what_to_do() {
        let said = "AH00526: Syntax error on line 12 of /etc/apache2/sites-enabled/a.conf:\n\
            Name duplicates previous WSGI daemon definition: 'site'.\n";
        let found = complaint(said).unwrap();
        assert_eq!(found.place, Some(Place { file: "/etc/apache2/sites-enabled/a.conf".into(), line: 12 }));
        assert!(found.what.ends_with("definition: 'site'."), "{found:?}");
        assert!(found.mend.contains("WSGIProcessGroup"), "{found:?}");
        assert!(found.mend.ends_with("nothing behind this line has been read."), "{found:?}");
    }

    #[test]
    fn of_includes_the_innermost_is_meant() {
        let said = "apache2: Syntax error on line 146 of /etc/apache2/apache2.conf: Syntax error on line 1 of \
            /etc/apache2/mods-enabled/x.load: Cannot load x.so into server: x.so: no such file\n";
        let found = complaint(said).unwrap();
        assert_eq!(found.place.unwrap().file, "/etc/apache2/mods-enabled/x.load");
        assert!(found.what.contains("Cannot load x.so"), "{}", found.what);
    }

    #[test]
    fn other_words_are_no_complaint_about_a_line() {
        assert_eq!(complaint("apache2: Could not open configuration file /x: No such file"), None);
        assert_eq!(complaint("Syntax error on line x of y: z"), None);
    }
}
