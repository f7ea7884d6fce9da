//! A site: every decision taken, and everything on disk that its two programs need. The directory
//! goes away with this value.

use super::account::{self, Accountable};
use super::application::{self, Application, NoApplication};
use super::conf::Conf;
use super::httpd::{self, Httpd};
use super::port::{self, Port};
use super::python::{self, Wishes};
use super::{Arguments, Refusal};
use crate::configuration::SystemAccounts;
use crate::installation::Installation;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A longer path of the temporary directory leaves no room for the workers' sockets.
const LONGEST_TEMPORARY: usize = 48;

/// After Ctrl-C, requests have so long.
const SHUTDOWN_SECONDS: u32 = 2;

/// See the module.
#[derive(Debug)]
pub struct Site {
    /// As it was asked for.
    pub name: String,
    /// Where it listens.
    pub port: Port,
    /// Workers follow changes of their code.
    pub reload: bool,
    /// The web server.
    pub httpd: Httpd,
    /// The parts of mod_wsgid.
    pub installation: Installation,
    /// Who runs what.
    pub accountable: Accountable,
    python: PathBuf,
    application: Application,
    root: TempDir,
}

impl Site {
    /// The script and the callable that it does not have; nothing if it has, or may have.
    pub fn lacks(&self) -> Option<(&Path, &'static str)> {
        let Application::Script(script) = &self.application else { return None };
        let callable = self.application.callable();
        (!python::may_bind(&self.python, script, callable)).then_some((script, callable))
    }

    /// Configuration of httpd.
    pub fn conf(&self) -> PathBuf {
        self.root.path().join("httpd.conf")
    }

    /// The daemon's runtime directory.
    pub fn runtime_directory(&self) -> PathBuf {
        Conf::runtime_directory(self.root.path())
    }

    /// The daemon's state directory.
    pub fn state_directory(&self) -> PathBuf {
        self.root.path().join("state")
    }
}

/// Decides everything, and writes it down.
pub fn prepare(arguments: &Arguments) -> Result<Site, Refusal> {
    let directory = std::env::current_dir().map_err(Refusal::io("the current directory can't be read"))?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let application = Application::parse(&arguments.app, &directory)?;
    let installation = Installation::of_this_program()?;
    installation.launcher()?;
    installation.extensions()?;
    let module = installation.module()?;
    let httpd = httpd::find(arguments.httpd.as_deref(), &path)?;
    let served = application.belongs_with(&directory);
    let is_root = nix::unistd::geteuid().is_root();
    let accountable = account::decide(is_root, arguments.user.as_deref(), served, &SystemAccounts)?;
    if matches!(accountable, Accountable::AsRoot { asked_for: false, .. }) {
        eprintln!(
            "wsgid serve: warning: nobody but root can read {}, so it runs as root; --user NAME chooses somebody else",
            served.display()
        );
    }
    let python = python(arguments, &accountable, path)?;
    let port = port::find(&arguments.host, arguments.port)?;
    let root = temporary_directory(is_root)?;
    let script = script(&application, &accountable, root.path())?;
    let conf = Conf {
        root: root.path(),
        listen: port.listen(),
        httpd: &httpd,
        module: &module,
        web: accountable.web().map(|web| (web.name.clone(), web.gid)),
        script: &script,
        callable: application.callable(),
        options: options(arguments, &accountable, &application, &directory, python::home(&python)?)?,
    };
    fs::write(root.path().join("httpd.conf"), conf.text()?)
        .map_err(Refusal::io("httpd.conf can't be written"))?;
    let name = arguments.app.clone();
    Ok(Site {
        name,
        port,
        reload: arguments.reload,
        httpd,
        installation,
        accountable,
        python,
        application,
        root,
    })
}

fn temporary_directory(is_root: bool) -> Result<TempDir, Refusal> {
    let usual = std::env::temp_dir();
    let base = if usual.as_os_str().len() > LONGEST_TEMPORARY { PathBuf::from("/tmp") } else { usual };
    let root = tempfile::Builder::new().prefix("wsgid-serve.").tempdir_in(&base);
    let root = root.map_err(Refusal::io(format!("no directory can be made in {}", base.display())))?;
    if is_root {
        // httpd's children and the workers are other users than we.
        fs::set_permissions(root.path(), Permissions::from_mode(0o755))
            .map_err(Refusal::io("the temporary directory can't be opened for the web server"))?;
    }
    Ok(root)
}

fn python(
    arguments: &Arguments,
    accountable: &Accountable,
    path: std::ffi::OsString,
) -> Result<PathBuf, Refusal> {
    let wishes = Wishes {
        python: arguments
            .python
            .as_ref()
            .map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone())),
        environment: std::env::var_os("VIRTUAL_ENV").filter(|home| !home.is_empty()).map(PathBuf::from),
        path,
    };
    let user = accountable.application();
    let executable = |path: &Path| match user {
        Some(user) => account::may_reach(user, &SystemAccounts, path).unwrap_or(true),
        None => path.exists(),
    };
    Ok(python::choose(&wishes, user.map_or("root", |user| &user.name), executable)?)
}

/// The script that httpd is told to serve: the application's own, if httpd's user can reach it.
fn script(application: &Application, accountable: &Accountable, root: &Path) -> Result<PathBuf, Refusal> {
    let text = match application {
        Application::Module { module, callable } => application::script_for_module(module, callable),
        Application::Script(path) => {
            let reachable = match accountable.web() {
                Some(web) => account::may_reach(web, &SystemAccounts, path).unwrap_or(true),
                None => true,
            };
            if reachable {
                return Ok(path.clone());
            }
            application::script_for_script(path)
        }
    };
    let script = root.join("served.wsgi");
    fs::write(&script, text).map_err(Refusal::io("the script can't be written"))?;
    fs::set_permissions(&script, Permissions::from_mode(0o644))
        .map_err(Refusal::io("the script can't be shown"))?;
    Ok(script)
}

fn options(
    arguments: &Arguments,
    accountable: &Accountable,
    application: &Application,
    directory: &Path,
    python_home: Option<PathBuf>,
) -> Result<Vec<(&'static str, String)>, Refusal> {
    let mut options = vec![
        ("processes", arguments.processes.to_string()),
        ("threads", arguments.threads.to_string()),
        ("shutdown-timeout", SHUTDOWN_SECONDS.to_string()),
    ];
    if arguments.processes == 1 {
        options.remove(0); // its presence alone makes wsgi.multiprocess true
    }
    let beside = match application {
        Application::Script(path) => path.parent().filter(|beside| *beside != directory),
        Application::Module { .. } => None,
    };
    let enters = |path: &Path| match accountable.application() {
        Some(user) => account::may_reach(user, &SystemAccounts, path).unwrap_or(true),
        None => true,
    };
    match beside {
        Some(beside) if !enters(directory) => options.push(("home", text(beside)?)),
        Some(beside) => options.extend([("home", text(directory)?), ("python-path", text(beside)?)]),
        None => options.push(("home", text(directory)?)),
    }
    if let Some(home) = python_home {
        options.push(("python-home", text(&home)?));
    }
    if arguments.free_threading {
        options.push(("free-threading", "On".into()));
    }
    if let Accountable::Users { web, application } = accountable {
        if web != application {
            options.extend([("user", application.name.clone()), ("group", format!("#{}", application.gid))]);
        }
    }
    Ok(options)
}

fn text(path: &Path) -> Result<String, Refusal> {
    path.to_str()
        .map(String::from)
        .ok_or_else(|| Refusal::Application(NoApplication::Malformed(path.display().to_string())))
}
