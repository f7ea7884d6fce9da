//! Processes and those they started, from /proc. Tests run side by side and nothing but its own
//! processes is a test's business, so nothing here goes by name.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::HashMap;

/// A process: the start time tells it from a later one with the same number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// Its command line, for messages.
    pub command: String,
    start: u64,
}

struct Stat {
    parent: i32,
    state: char,
    start: u64,
}

fn stat(pid: i32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; the fields begin after the last one.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
    })
}

impl Process {
    /// The process of this number, if it lives.
    pub fn find(pid: i32) -> Option<Process> {
        let stat = stat(pid).filter(|stat| stat.state != 'Z')?;
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        Some(Process { pid, command: command.chars().take(200).collect(), start: stat.start })
    }

    /// Does it live? A zombie does not.
    pub fn lives(&self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.state != 'Z' && stat.start == self.start)
    }

    /// Its state, as proc_pid_stat(5) has it: `T` for one that is stopped.
    pub fn state(&self) -> Option<char> {
        stat(self.pid).filter(|_| self.lives()).map(|stat| stat.state)
    }

    /// Sends a signal, if it lives.
    pub fn signal(&self, signal: Signal) {
        if self.lives() {
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }
}

/// Everything below `pid`, itself not included.
pub fn descendants(pid: i32) -> Vec<Process> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    let entries = std::fs::read_dir("/proc").unwrap();
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    for child in pids {
        if let Some(stat) = stat(child) {
            children.entry(stat.parent).or_default().push(child);
        }
    }
    let mut found = Vec::new();
    let mut next = vec![pid];
    while let Some(parent) = next.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            found.extend(Process::find(child));
            next.push(child);
        }
    }
    found
}

/// The processes that a stack has had; none may outlive it.
#[derive(Debug, Default)]
pub struct Family(Vec<Process>);

impl Family {
    /// Remembers `pid` and everything below it.
    pub fn remember(&mut self, pid: i32) {
        let mut found = descendants(pid);
        found.extend(Process::find(pid));
        self.0.retain(|known| !found.contains(known));
        self.0.extend(found);
    }

    /// Those that still live.
    pub fn living(&self) -> Vec<&Process> {
        self.0.iter().filter(|process| process.lives()).collect()
    }

    /// Ends them the hard way.
    pub fn kill(&self) {
        for process in &self.0 {
            process.signal(Signal::SIGKILL);
        }
    }
}
