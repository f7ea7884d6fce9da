//! Python homes, working directories and module directories of process groups.

use super::Case;
use super::dump::{Directive, Place};
use super::files::{mend_of, way_finding};
use super::finding::{Finding, Grade};
use super::python::{self, Fault};
use super::site::Group;
use super::way::{End, Need, Walker};
use std::path::{Path, PathBuf};

/// All findings on them.
pub fn check(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let fallback = case.site.main().all("WSGIPythonHome").last();
    for group in &case.site.groups {
        let Some(who) = case.walker(group) else { continue };
        let own = group.options.python_home.as_ref().map(|home| (text(home), &group.directive.place));
        let inherited = fallback.map(|directive| (first_directory(directive), &directive.place));
        if let Some((home, place)) = own.or(inherited) {
            findings.extend(home_finding(case, place, &group.name, &who, Path::new(&home)));
        }
        findings.extend(directory_findings(case, group, &who));
    }
    let inherited = case.site.groups.iter().any(|group| group.options.python_home.is_none());
    if let Some(directive) = fallback.filter(|_| !inherited) {
        let home = PathBuf::from(first_directory(directive));
        let found = home_finding(case, &directive.place, "", &case.web, &home);
        // Beside declared groups the implicit one may well be unused.
        let grade = if case.site.groups.is_empty() { Grade::Error } else { Grade::Warning };
        findings.extend(found.map(|found| Finding { grade, ..found }));
    }
    findings.extend(path_of_the_implicit_group(case));
    findings
}

/// Whoever moves an application into a group of its own may forget what it had before.
fn path_of_the_implicit_group(case: &Case<'_>) -> Option<Finding> {
    let directive = case.site.main().all("WSGIPythonPath").last()?;
    let without: Vec<&str> = case
        .site
        .groups
        .iter()
        .filter(|group| group.options.python_path.is_empty() && group.options.home.is_none())
        .map(|group| group.name.as_str())
        .collect();
    let what = format!(
        "WSGIPythonPath is for the implicit process group alone; declared groups don't inherit it ({}).",
        without.join(", ")
    );
    let mend = "Give those groups a python-path= if their applications need the directories.";
    (!without.is_empty()).then(|| Finding::new(Grade::Note, &directive.place, what, mend))
}

/// Of two with a colon between them the first counts.
fn first_directory(directive: &Directive) -> String {
    directive.first_word().split(':').next().unwrap_or_default().into()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn home_finding(case: &Case<'_>, place: &Place, group: &str, who: &Walker, home: &Path) -> Option<Finding> {
    const ANEW: &str = "Make the environment anew with the Python that is to be used, and install into it what the \
                        application needs.";
    let fault = python::fault(case.probe, who, home)?;
    let owner =
        if group.is_empty() { "The implicit group".into() } else { format!("Process group '{group}'") };
    let begun = |rest: String| format!("{owner} can't start: its Python home {} {rest}", home.display());
    let (what, mend) = match fault {
        Fault::Way { end: End::Unseen(at), .. } => {
            case.not_seen(at);
            return None;
        }
        Fault::Way { end: End::Closed(at, _), to } => (
            begun(format!(
                "is closed to user {}, who is denied at {} on the way to {}.",
                who.name,
                at.display(),
                to.display()
            )),
            mend_of(&at, who),
        ),
        Fault::Way { end: End::Dangling { link, to }, .. } => (
            begun(format!(
                "has lost its interpreter: {} leads to {}, which is not there.",
                link.display(),
                to.display()
            )),
            ANEW.into(),
        ),
        Fault::Way { end: End::Missing(at), .. } => (
            begun(format!("does not exist: there is no {}.", at.display())),
            "Name the directory of a virtual environment, or make one there.".into(),
        ),
        Fault::Way { .. } => return None,
        Fault::NoEnvironment => (
            begun("is no Python environment: it has neither pyvenv.cfg nor bin/python.".into()),
            "Name the directory that contains bin/python, as sys.prefix has it.".into(),
        ),
        Fault::NoInterpreter => (begun("has a pyvenv.cfg but no bin/python.".into()), ANEW.into()),
        Fault::NotAProgram(at) => {
            (begun(format!("has no interpreter: {} is no program.", at.display())), ANEW.into())
        }
        Fault::Old(major, minor) => (
            begun(format!("is of Python {major}.{minor}; the oldest that is served is 3.9.")),
            "Make an environment with a newer Python.".into(),
        ),
        Fault::FreeThreaded(at) => (
            begun(format!("is of a free-threaded Python ({}); of those only 3.14 is served.", at.display())),
            "Make an environment with free-threaded Python 3.14, or with the usual build.".into(),
        ),
    };
    Some(Finding::new(Grade::Error, place, what, mend))
}

fn directory_findings(case: &Case<'_>, group: &Group<'_>, who: &Walker) -> Vec<Finding> {
    let place = &group.directive.place;
    let mut findings = Vec::new();
    if let Some(home) = &group.options.home {
        let what = format!("Process group '{}' can't start: its home", group.name);
        findings.extend(way_finding(
            case,
            (place, Grade::Error),
            &what,
            who,
            Path::new(&text(home)),
            Need::Execute,
        ));
    }
    // Entries may be archives as well.
    for path in &group.options.python_path {
        let what = format!("Process group '{}' won't find modules in", group.name);
        findings.extend(way_finding(
            case,
            (place, Grade::Warning),
            &what,
            who,
            Path::new(&text(path)),
            Need::Nothing,
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::case::fixture::assert_found;
    use super::super::probe::fixture::Few;

    const BEGUN: &str = "WSGIPassAuthorization Off\nWSGIDaemonProcess g user=bob";

    #[test]
    fn homes_of_python_and_working_directories() {
        let text = |options: &str| format!("{BEGUN} {options}\nWSGIProcessGroup g");
        let missing = "Python home /opt/none does not exist: there is no /opt.";
        let with_default = |options: &str| format!("{}\nWSGIPythonHome /opt/none", text(options));
        assert_found(&Few::new(), &with_default(""), &[("4: Error: Process group 'g'", missing)]);
        let good = || Few::new().program("/venv/bin/python").dir("/root", 0o700, 0);
        let unused = [("4: Warning: The implicit group", "there is no /opt.")];
        assert_found(&good(), &with_default("python-home=/venv"), &unused);
        assert_found(
            &Few::new(),
            "WSGIPythonHome /opt/none:/usr",
            &[("1: Error: The implicit group", missing)],
        );
        let gone = Few::new().dir("/usr/bin", 0o755, 0).links("/venv/bin/python", "/usr/bin/python3.8");
        let expected =
            [("2: Error", "has lost its interpreter: /venv/bin/python leads to /usr/bin/python3.8")];
        assert_found(&gone, &text("python-home=/venv"), &expected);
        let old = Few::new().program("/venv/bin/python").text("/venv/pyvenv.cfg", "version = 3.8.1");
        assert_found(&old, &text("python-home=/venv"), &[("2: Error", "is of Python 3.8")]);
        let options = "python-home=/venv home=/root python-path=/venv:/nowhere";
        let expected = [
            ("2: Error", "can't start: its home /root: user bob is denied"),
            ("2: Warning", "modules in /nowhere"),
        ];
        assert_found(&good(), &text(options), &expected);
    }
    #[test]
    fn a_path_that_groups_do_not_inherit() {
        let text =
            |option: &str| format!("WSGIPythonPath /srv\nWSGIDaemonProcess g {option}\nWSGIProcessGroup g");
        let here = Few::new().dir("/srv", 0o755, 0);
        assert_found(
            &here,
            &text(""),
            &[("1: Note: WSGIPythonPath is for the implicit process group", "(g)")],
        );
        assert_found(&here, &text("python-path=/srv"), &[]);
    }

    #[test]
    fn nothing_is_said_of_another_root() {
        let text = format!("{BEGUN} chroot=/jail python-home=/opt/none\nWSGIProcessGroup g");
        let found = super::super::case::fixture::found(&Few::new(), &text);
        assert!(found.iter().all(|line| !line.contains("Error")), "{found:?}");
    }
}
