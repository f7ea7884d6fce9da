//! The web server: where it is on this machine, and one running instance of it.

use crate::family::descendants;
use crate::place::Place;
use crate::wait::{PATIENCE, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// How httpd handles its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Mpm {
    Event,
    Worker,
    Prefork,
}

impl Mpm {
    /// As its module is called.
    pub fn name(self) -> &'static str {
        match self {
            Mpm::Event => "mpm_event",
            Mpm::Worker => "mpm_worker",
            Mpm::Prefork => "mpm_prefork",
        }
    }
}

/// `apache2` or `httpd`.
pub fn program() -> PathBuf {
    let known = ["/usr/sbin/apache2", "/usr/sbin/httpd", "/usr/local/apache2/bin/httpd"];
    let found = known.iter().map(Path::new).find(|path| path.exists());
    found.expect("no httpd: ./tests/run installs it").to_path_buf()
}

/// Where its modules are.
pub fn modules() -> PathBuf {
    let known = ["/usr/lib/apache2/modules", "/usr/lib64/httpd/modules", "/usr/local/apache2/modules"];
    let found = known.iter().map(Path::new).find(|path| path.exists());
    found.expect("httpd has no modules directory").to_path_buf()
}

/// The user and group that distributions give it.
pub fn web_user() -> &'static str {
    let known = ["www-data", "apache"];
    let found = known.into_iter().find(|name| nix::unistd::User::from_name(name).is_ok_and(|u| u.is_some()));
    found.expect("no user www-data or apache")
}

/// Who programs run as, where that is not who the test runs as.
pub type Identity = Option<(u32, u32)>;

/// A running httpd.
#[derive(Debug)]
pub struct Httpd {
    child: Child,
    pidfile: PathBuf,
}

/// Why it did not start: what it printed and logged.
#[derive(Debug)]
pub struct NotStarted(pub String);

impl Httpd {
    /// Starts with the configuration at `httpd.conf` of the place and waits until it listens.
    pub fn start(place: &Place, identity: Identity) -> Result<Self, NotStarted> {
        let pidfile = place.path("run/httpd.pid");
        let console = place.path("logs/httpd.out");
        let mut command = command(place, identity);
        command.arg("-DFOREGROUND").stdin(Stdio::null()).process_group(0);
        let out = File::create(&console).unwrap();
        command.stdout(out.try_clone().unwrap()).stderr(out);
        let mut child = command.spawn().unwrap();
        let started = eventually(PATIENCE, "httpd starts", || match child.try_wait().unwrap() {
            Some(status) => Ok(Err(status)),
            // Written once it is bound to all its ports.
            None if pidfile.exists() => Ok(Ok(())),
            None => Err("no pid file".into()),
        });
        match started {
            Ok(()) => Ok(Self { child, pidfile }),
            Err(status) => {
                let said = place.read("logs/httpd.out") + &place.read("logs/error.log");
                Err(NotStarted(format!("{status}\n{said}")))
            }
        }
    }

    /// The parent's process id.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// The children that serve, by process id.
    pub fn children(&self) -> Vec<i32> {
        descendants(self.pid()).iter().map(|process| process.pid).collect()
    }

    /// A signal for the parent.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Ends it and waits for that.
    pub fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        eventually(PATIENCE, "httpd ends on SIGTERM", || match self.child.try_wait().unwrap() {
            Some(_) => Ok(()),
            None => Err("it runs".into()),
        });
        let _ = std::fs::remove_file(&self.pidfile);
    }
}

impl Drop for Httpd {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.signal(Signal::SIGTERM);
        }
    }
}

/// `httpd -f httpd.conf` in an environment of its own, as a service manager starts it.
fn command(place: &Place, identity: Identity) -> Command {
    let mut command = Command::new(program());
    command.arg("-f").arg(place.path("httpd.conf"));
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LANG", "C").current_dir("/");
    command.envs(place.environment());
    if let Some((user, group)) = identity {
        command.uid(user).gid(group);
    }
    command
}

/// `httpd -t`: is the configuration good, and what is said about it?
pub fn configtest(place: &Place) -> (bool, String) {
    let Output { status, stdout, stderr } = command(place, None).arg("-t").output().unwrap();
    let said = [stdout, stderr].concat();
    (status.success(), String::from_utf8_lossy(&said).into_owned())
}
