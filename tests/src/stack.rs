//! A running httpd with its daemon.

use crate::client::{Connection, Reply, Request};
use crate::daemon::Daemon;
use crate::family::Family;
use crate::httpd::{Httpd, Mpm};
use crate::place::Place;
use crate::plan::{Household, Plan, Ports};
use crate::wait::{PATIENCE, eventually};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};

/// What a test talks to.
#[derive(Debug)]
pub struct Stack {
    /// Its directory.
    pub place: Place,
    /// Where httpd listens.
    pub port: u16,
    /// Where else it listens, if the configuration says so.
    pub tls_port: u16,
    plan: Plan,
    httpd: Option<Httpd>,
    daemon: Option<Daemon>,
    family: Family,
}

impl Stack {
    /// Begins the sentence.
    pub fn on(mpm: Mpm) -> Plan {
        Plan::new(mpm)
    }

    #[track_caller]
    pub(crate) fn start(plan: Plan) -> Self {
        let place = plan.lay_out();
        let mut stack =
            Self { place, port: 0, tls_port: 0, plan, httpd: None, daemon: None, family: Family::default() };
        if stack.plan.daemon == Household::Own {
            stack.start_daemon();
        }
        stack.start_httpd();
        stack
    }

    /// Starts the daemon that is not there.
    #[track_caller]
    pub fn start_daemon(&mut self) {
        assert!(self.daemon.is_none(), "it runs");
        self.daemon = Some(Daemon::start(&self.place, self.plan.identity));
    }

    /// Ends the daemon the usual way.
    #[track_caller]
    pub fn stop_daemon(&mut self) {
        self.remember();
        self.daemon.take().expect("no daemon").stop();
    }

    /// Ends the daemon as its unit does for a restart.
    #[track_caller]
    pub fn have_daemon_leave(&mut self) {
        self.remember();
        self.daemon.take().expect("no daemon").leave();
    }

    /// Ends the daemon with SIGKILL.
    #[track_caller]
    pub fn kill_daemon(&mut self) {
        self.remember();
        self.daemon.take().expect("no daemon").kill();
    }

    /// A port that was free a moment ago may be taken by now; then the next one.
    #[track_caller]
    fn start_httpd(&mut self) {
        for _ in 0..10 {
            [self.port, self.tls_port] = free_ports();
            self.plan.write_config(&self.place, self.ports());
            match Httpd::start(&self.place, self.plan.identity) {
                Ok(httpd) => {
                    self.httpd = Some(httpd);
                    return;
                }
                Err(e) if e.0.contains("could not bind") => {}
                Err(e) => panic!("httpd does not start: {}", e.0),
            }
        }
        panic!("no free port in ten attempts");
    }

    /// The daemon.
    #[track_caller]
    pub fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("no daemon")
    }

    /// The web server.
    #[track_caller]
    pub fn httpd(&self) -> &Httpd {
        self.httpd.as_ref().expect("no httpd")
    }

    /// Runs `wsgictl` on this stack's daemon, which has to go well; what it prints.
    #[track_caller]
    pub fn wsgictl(&self, arguments: &[&str]) -> String {
        let mut command = std::process::Command::new(crate::stage::staged("usr/bin/wsgictl"));
        command.arg("--socket").arg(self.place.path("run/control.sock")).args(arguments);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        said.into_owned()
    }

    /// The port that httpd listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A new connection.
    #[track_caller]
    pub fn connect(&self) -> Connection {
        Connection::open(self.port).unwrap()
    }

    /// One request on a connection of its own; the reply must be whole.
    #[track_caller]
    pub fn ask(&self, request: &Request) -> Reply {
        let reply = self.connect().ask(request);
        assert!(reply.whole, "the reply is cut off: {}{}", reply.head, reply.text());
        reply
    }

    /// GET.
    #[track_caller]
    pub fn get(&self, target: &str) -> Reply {
        self.ask(&Request::get(target))
    }

    /// GET from a site.
    #[track_caller]
    pub fn get_from(&self, host: &str, target: &str) -> Reply {
        self.ask(&Request::get(target).host(host))
    }

    /// POST.
    #[track_caller]
    pub fn post(&self, target: &str, body: impl Into<Vec<u8>>) -> Reply {
        self.ask(&Request::post(target, body))
    }

    /// Which processes answer `/` when so many clients at a time ask so often, each over one connection. The
    /// application says its `pid` in JSON, and every answer has to be a 200.
    #[track_caller]
    pub fn answered_by(&self, clients: usize, times: usize) -> BTreeSet<u32> {
        let ask = || {
            let mut connection = self.connect();
            let mut pid =
                || connection.ask(&Request::get("/")).expect(200).json()["pid"].as_u64().unwrap() as u32;
            (0..times).map(|_| pid()).collect::<BTreeSet<u32>>()
        };
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..clients).map(|_| scope.spawn(ask)).collect();
            all.into_iter().flat_map(|each| each.join().unwrap()).collect()
        })
    }

    /// `apachectl graceful`, and waits until the new generation is configured.
    #[track_caller]
    pub fn graceful(&self) {
        let generations = || self.log("error").matches("resuming normal operations").count();
        eventually(PATIENCE, "httpd is up", || if generations() > 0 { Ok(()) } else { Err("no".into()) });
        let before = generations();
        self.httpd().signal(Signal::SIGUSR1);
        eventually(PATIENCE, "httpd restarts gracefully", || match generations() {
            now if now > before => Ok(()),
            now => Err(format!("{now} generations:\n{}", self.log("error"))),
        });
    }

    /// Changes the configuration that was given, and restarts gracefully.
    #[track_caller]
    pub fn reconfigure(&mut self, from: &str, to: &str) {
        assert!(self.plan.config.contains(from), "{from:?} is not configured");
        self.plan.config = self.plan.config.replace(from, to);
        self.plan.write_config(&self.place, self.ports());
        self.graceful();
    }

    fn ports(&self) -> Ports {
        Ports { plain: self.port, tls: self.tls_port }
    }

    /// An error log: `error`, the name of a site, or `wsgid`.
    pub fn log(&self, name: &str) -> String {
        self.place.read(&format!("logs/{name}.log"))
    }

    /// Waits until a line of a log contains all of these, and answers the line.
    #[track_caller]
    pub fn logged(&self, name: &str, wanted: &[&str]) -> String {
        eventually(PATIENCE, "a line in the log", || {
            let log = self.log(name);
            let found = log.lines().find(|line| wanted.iter().all(|part| line.contains(part)));
            found.map(String::from).ok_or_else(|| format!("no line with {wanted:?} in {name}.log:\n{log}"))
        })
    }

    fn remember(&mut self) {
        let httpd = self.httpd.as_ref().map(Httpd::pid);
        let daemon = self.daemon.as_ref().map(Daemon::pid);
        for pid in httpd.into_iter().chain(daemon) {
            self.family.remember(pid);
        }
    }

    /// Ends everything, the way a machine is shut down.
    fn end(&mut self) {
        self.remember();
        if let Some(httpd) = self.httpd.take() {
            httpd.stop();
        }
        if let Some(daemon) = self.daemon.take() {
            daemon.stop();
        }
        eventually(PATIENCE, "every process ends", || match self.family.living() {
            left if left.is_empty() => Ok(()),
            left => Err(format!("{left:?}")),
        });
    }

    fn show_logs(&self) {
        for entry in std::fs::read_dir(self.place.path("logs")).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            let text = self.place.read(&format!("logs/{name}"));
            let lines: Vec<&str> = text.lines().collect();
            eprintln!("---- {name}");
            for line in &lines[lines.len().saturating_sub(80)..] {
                eprintln!("{line}");
            }
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.remember();
        if std::thread::panicking() {
            self.show_logs();
            self.family.kill();
            return;
        }
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.end()));
        if let Err(cause) = ended {
            self.show_logs();
            self.family.kill();
            std::panic::resume_unwind(cause);
        }
    }
}

/// So many different ports that nobody listens on at this moment.
pub fn free_ports<const N: usize>() -> [u16; N] {
    // All are open at a time: the kernel may give one that was closed again.
    let open = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    open.map(|listener| listener.local_addr().unwrap().port())
}
