//! A running `wsgid serve`, as a developer has it in a terminal.

use crate::client::{Connection, Reply, Request};
use crate::family::Family;
use crate::stage::staged;
use crate::wait::{PATIENCE, eventually};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

/// The process and what it has printed.
#[derive(Debug)]
pub struct Serve {
    child: Child,
    said: Arc<Mutex<String>>,
    family: Family,
}

impl Serve {
    /// Starts it in a directory, as the leader of a process group, like a shell does.
    pub fn start(dir: &Path, arguments: &[&str]) -> Self {
        Self::start_with(dir, arguments, "/usr/sbin:/usr/bin:/sbin:/bin")
    }

    /// The same with another PATH.
    pub fn start_with(dir: &Path, arguments: &[&str], path: &str) -> Self {
        let mut command = Command::new(staged("usr/sbin/wsgid"));
        command.arg("serve").args(arguments).current_dir(dir).process_group(0);
        command.env("PATH", path).env("LANG", "C.UTF-8").env_remove("RUST_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take().unwrap(), said.clone());
        collect(child.stderr.take().unwrap(), said.clone());
        Self { child, said, family: Family::default() }
    }

    /// Everything printed so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits for a line with this text.
    #[track_caller]
    pub fn says(&self, text: &str) -> String {
        eventually(PATIENCE, text, || {
            let said = self.said();
            said.lines().find(|line| line.contains(text)).map(String::from).ok_or(said.clone())
        })
    }

    /// The port of the URL that it prints.
    #[track_caller]
    pub fn port(&self) -> u16 {
        let line = self.says("http://127.0.0.1:");
        let digits = line.split("http://127.0.0.1:").nth(1).unwrap();
        let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    }

    /// GET from it.
    #[track_caller]
    pub fn get(&self, target: &str) -> Reply {
        Connection::open(self.port()).unwrap().ask(&Request::get(target))
    }

    /// Waits until it ends by itself.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        eventually(PATIENCE, "wsgid serve ends", || self.child.try_wait().unwrap().ok_or(self.said()))
    }

    /// Ctrl-C, which a terminal sends to the whole process group. Nothing may stay behind.
    #[track_caller]
    pub fn interrupt(mut self) -> ExitStatus {
        self.family.remember(self.child.id() as i32);
        killpg(Pid::from_raw(self.child.id() as i32), Signal::SIGINT).unwrap();
        let status = self.ended();
        eventually(PATIENCE, "every process ends", || match self.family.living() {
            left if left.is_empty() => Ok(()),
            left => Err(format!("{left:?}")),
        });
        status
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.family.remember(self.child.id() as i32);
            self.family.kill();
        }
        if std::thread::panicking() {
            eprintln!("---- wsgid serve\n{}", self.said());
        }
    }
}

fn collect(from: impl Read + Send + 'static, into: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let mut said = into.lock().unwrap();
            said.push_str(&line);
            said.push('\n');
        }
    });
}
