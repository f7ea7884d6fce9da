//! `wsgictl check`: what will go wrong with a configuration, said before it does, with the line and with
//! what to do.
//!
//! httpd reads its configuration itself and the module prints what came of it; from there on everything is
//! a function of that tree, of what a [`probe::Probe`] sees of the file system, and of the user database.
//! Nothing of a user's is executed, and where httpd would have to be asked what it does, nothing is said.
//!
//! * [`ask`], [`dump`], [`words`]: the configuration, from httpd
//! * [`case`]: every check on one configuration
//! * [`site`], [`sections`]: as servers, groups and applications; which sections apply to one
//! * [`groups`], [`routing`], [`handlers`], [`membership`]: process groups, applications, and which run in which
//! * [`idle`], [`providers`]: what is said in vain, and what is asked of nobody
//! * [`homes`], [`python`]: what groups need to start
//! * [`scripts`], [`grants`], [`owner`]: what an application needs
//! * [`files`], [`way`], [`probe`]: how somebody else would get to a file
//! * [`finding`]: what it comes to

mod ask;
mod case;
mod dump;
mod files;
mod finding;
mod grants;
mod groups;
mod handlers;
mod homes;
mod idle;
mod membership;
mod owner;
mod probe;
mod providers;
mod python;
mod routing;
mod scripts;
mod sections;
mod site;
mod way;
mod words;

use crate::configuration::accounts::Unreadable;
use crate::configuration::identity;
use crate::configuration::{Privilege, SystemAccounts};
use crate::installation::Installation;
use crate::serve::python::in_path;
use ask::{Inquiry, NotRun, Said};
use case::Case;
use clap::{Args, ValueEnum};
use dump::Dump;
use finding::{Finding, Grade};
use probe::Machine;
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `wsgictl check`.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// The program to ask: httpd, or a script that starts it. By default apache2ctl, httpd or apachectl.
    #[arg(long, value_name = "PROGRAM")]
    httpd: Option<PathBuf>,
    /// The configuration, if it is not the program's own (httpd's -f).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A name for <IfDefine>, as httpd's own -D; more than once for more.
    #[arg(short = 'D', long = "define", value_name = "NAME")]
    defines: Vec<String>,
    /// Check with this mod_wsgid.so in place of the configuration's own wsgi_module.
    #[arg(long, value_name = "PATH")]
    module: Option<PathBuf>,
    /// How to write the findings.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Nothing could be checked.
#[derive(Debug, thiserror::Error)]
enum Unchecked {
    #[error("there is no apache2ctl, httpd or apachectl in PATH: name the program with --httpd")]
    NoProgram,
    #[error(transparent)]
    NotRun(#[from] NotRun),
    #[error("{} does not read its configuration: {said}", .program.display())]
    Failed { program: PathBuf, said: String },
    #[error(
        "the configuration does not load mod_wsgid, and it can't be put in its place: {0}; name one with --module"
    )]
    NoModule(String),
    #[error("the module {} is not that of this wsgictl: it tells nothing", .0.display())]
    Silent(PathBuf),
    #[error("check asks for the daemon that the configuration names: leave --socket and --runtime-dir out")]
    Socket,
    #[error("{0}")]
    Accounts(#[from] Unreadable),
}

const ERRORS_FOUND: u8 = 1;
const NOT_CHECKED: u8 = 2;

/// The command. `socket_named`: it was said on the command line which daemon is meant.
pub fn main(arguments: &Arguments, socket_named: bool) -> ExitCode {
    let result = if socket_named { Err(Unchecked::Socket) } else { run(arguments) };
    match result {
        Ok(findings) => {
            let text = match arguments.format {
                Format::Text => finding::text(&findings),
                Format::Json => finding::json(&findings),
            };
            let _ = std::io::stdout().write_all(text.as_bytes()); // a closed pipe is the reader's choice
            let failed = findings.iter().any(|finding| finding.grade == Grade::Error);
            if failed { ExitCode::from(ERRORS_FOUND) } else { ExitCode::SUCCESS }
        }
        Err(error) => {
            eprintln!("wsgictl: {error}");
            ExitCode::from(NOT_CHECKED)
        }
    }
}

fn run(arguments: &Arguments) -> Result<Vec<Finding>, Unchecked> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let program = arguments.httpd.clone().or_else(|| program(&path)).ok_or(Unchecked::NoProgram)?;
    let config = arguments.config.as_ref().map(|path| std::path::absolute(path).unwrap_or(path.clone()));
    let inquiry = Inquiry { program, config, defines: arguments.defines.clone() };
    let installed =
        || Installation::of_this_program().and_then(|tree| tree.module()).map_err(|e| e.to_string());
    let (said, mut findings) = inquire(&inquiry, arguments.module.as_deref(), installed)?;
    match said {
        Said::Told(dump) => findings.extend(of_machine(&dump)?),
        Said::Stopped(finding) => {
            findings.push(finding);
            findings.extend(read_without_root());
        }
        Said::Silent => return Err(Unchecked::Silent(arguments.module.clone().unwrap_or_default())),
        Said::Failed(said) => return Err(Unchecked::Failed { program: inquiry.program, said }),
    }
    Ok(finding::in_order(findings))
}

/// httpd opens certificates and the like while it reads.
fn read_without_root() -> Option<Finding> {
    let what = "httpd read the configuration as you, and may have been denied what root can read.";
    let note = || Finding::general(Grade::Note, what, "Run wsgictl check as root.");
    (!nix::unistd::geteuid().is_root()).then(note)
}

/// On Debian httpd needs the environment that apache2ctl gives it. Fedora's apachectl takes no arguments.
fn program(path: &OsStr) -> Option<PathBuf> {
    let with_system = [path, OsStr::new("/usr/sbin:/usr/local/sbin")].join(OsStr::new(":"));
    ["apache2ctl", "httpd", "apachectl", "apache2"].iter().find_map(|name| in_path(name, &with_system))
}

/// Asks, and once more with our module where the configuration has another or none: so a host that still
/// runs mod_wsgi is checked as it will be.
fn inquire(
    inquiry: &Inquiry,
    module: Option<&Path>,
    installed: impl Fn() -> Result<PathBuf, String>,
) -> Result<(Said, Vec<Finding>), Unchecked> {
    let first = inquiry.ask(module)?;
    let refused_by_another = matches!(&first, Said::Stopped(finding) if ask::may_be_anothers(finding));
    if module.is_some() || !(matches!(first, Said::Silent) || refused_by_another) {
        return Ok((first, Vec::new()));
    }
    let ours = match installed() {
        Ok(module) => module,
        Err(_) if refused_by_another => return Ok((first, Vec::new())),
        Err(missing) => return Err(Unchecked::NoModule(missing)),
    };
    let second = inquiry.ask(Some(&ours))?;
    if refused_by_another && matches!(second, Said::Stopped(_)) {
        return Ok((second, Vec::new()));
    }
    let note = Finding::general(
        Grade::Note,
        "The configuration does not load mod_wsgid: its wsgi_module is another, or none. It was checked with \
         mod_wsgid in that place.",
        format!(
            "To switch, let LoadModule wsgi_module name {}; on Debian: a2dismod wsgi; a2enmod wsgid.",
            ours.display()
        ),
    );
    Ok((second, vec![note]))
}

fn of_machine(dump: &Dump) -> Result<Vec<Finding>, Unreadable> {
    let accounts = SystemAccounts;
    let privilege = match nix::unistd::geteuid().is_root() {
        true => Privilege::Root { allow_root: true },
        false => Privilege::Own(identity::own(&accounts)?),
    };
    case::findings(dump, &Machine, &accounts, privilege)
}

#[cfg(test)]
mod tests {
    /// Debian's httpd can't do without the environment that its script brings.
    #[test]
    fn a_script_in_front_of_httpd_is_asked_first() {
        let dir = tempfile::tempdir().unwrap();
        let [script, httpd] = ["apache2ctl", "httpd"].map(|name| dir.path().join(name));
        std::fs::copy("/bin/true", &httpd).unwrap();
        std::fs::copy("/bin/true", &script).unwrap();
        assert_eq!(super::program(dir.path().as_os_str()), Some(script));
    }
}
