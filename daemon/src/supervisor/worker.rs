//! One worker, seen from the supervisor: a task that waits on its process, its control socket, its
//! output and its orders, and owns all four. It ends when the process has.
//!
//! Since the task alone reaps the process, or has a descriptor for it where it is no child, a signal it sends can't
//! hit a stranger with the same number.

use super::launch::{Launched, Source};
use super::output::Lines;
use super::process::Process;
use super::template::Parentage;
use crate::log::WORKER;
use crate::sockets::wire::{self, Conversation, WireError};
use crate::sys::memory::SharedWords;
use crate::sys::process;
use nix::sys::signal::Signal;
use std::time::Duration;
use tokio::sync::mpsc;
use wsgid_proto::frame::{Frame, Kind};
use wsgid_proto::launch::{
    Attached, Born, Interrupt, Note, Ready, Reason, ReloadWanted, Retire, Worn, end_of,
};
use wsgid_proto::pulse::Busy;
use wsgid_proto::response::Level;
use wsgid_proto::{Message, bounds};

/// What a worker may say. The application shares its process, so this is taken with a grain of salt:
/// nothing here can do more than replace or end the worker itself.
const PERMITTED: &[Kind] = &[Kind::Ready, Kind::ReloadWanted, Kind::Worn, Kind::Note];

/// After the process has ended, its last words may still be on the way; a grandchild that holds the
/// pipe open must not hold the news back.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// What the pool tells a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// It is known, and may become a worker.
    Welcome,
    /// Finish, within this time, and end.
    Retire(Reason, Duration),
    /// See [`Interrupt`].
    Interrupt(Busy, bool),
    /// Write the stacks of all threads to the log.
    Dump,
    /// It does not serve yet: end now.
    Terminate,
    /// The hard way, with the process group that it leads.
    Kill,
}

/// What a worker has to say, or what became of it.
#[derive(Debug)]
pub enum News {
    /// It has been forked, by this template, and is this process, which started then. It waits for its
    /// [`Order::Welcome`].
    Born { pid: u32, start: u64, template: u32 },
    /// See [`Ready`].
    Ready { loaded: bool, failure: String },
    /// See [`ReloadWanted`].
    ReloadWanted { reason: String },
    /// See [`Worn`].
    Worn { reason: Reason },
    /// Its process is gone: how, in words, and its last line of output.
    Exited { how: String, last_line: String },
}

/// News of one worker of one pool.
#[derive(Debug)]
pub struct Report {
    /// The pool's number.
    pub pool: u64,
    /// The worker's.
    pub serial: u32,
    /// What there is.
    pub news: News,
}

/// How to reach a worker.
#[derive(Debug)]
pub struct Hand {
    /// Its process; 0 as long as a template has not forked it.
    pub pid: u32,
    /// What it shows of itself: a [`wsgid_proto::pulse::Pulse`].
    pub pulse: SharedWords,
    orders: mpsc::UnboundedSender<Order>,
}

impl Hand {
    /// Orders go to the task; one that has ended needs none.
    pub fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }
}

/// Whose worker it is, for messages and reports.
#[derive(Debug, Clone)]
pub struct Name {
    /// The pool's number.
    pub pool: u64,
    /// The worker's.
    pub serial: u32,
    /// The group's name for people.
    pub group: String,
}

struct Worker {
    name: Name,
    pid: u32,
    process: Process,
    control: Option<Conversation>,
    output: Lines,
    reports: mpsc::Sender<Report>,
}

/// Starts the task.
pub fn attend(name: Name, launched: Launched, reports: mpsc::Sender<Report>) -> Hand {
    let (orders, mut inbox) = mpsc::unbounded_channel();
    let Launched { source, control, output, pulse } = launched;
    let pid = match &source {
        Source::Running(process) => process.pid(),
        Source::Template(_) => 0,
    };
    tokio::spawn(async move {
        let (process, control) = match source {
            Source::Running(process) => (process, control),
            Source::Template(parentage) => {
                match be_born(&name, parentage, control, &mut inbox, &reports).await {
                    Ok(born) => born,
                    Err(how) => {
                        return report(&name, &reports, News::Exited { how, last_line: String::new() }).await;
                    }
                }
            }
        };
        let pid = process.pid();
        let output = Lines::new(output, name.group.clone(), pid);
        Worker { output, control: Some(control), process, name, pid, reports }.live(inbox).await;
    });
    Hand { pid, pulse, orders }
}

/// Waits until the worker says which process it is, and is welcome. Should it be told to end before that, it does so
/// when its control socket closes.
async fn be_born(
    name: &Name,
    parentage: Parentage,
    mut control: Conversation,
    orders: &mut mpsc::UnboundedReceiver<Order>,
    reports: &mpsc::Sender<Report>,
) -> Result<(Process, Conversation), String> {
    let first = loop {
        tokio::select! {
            first = control.first_from::<Born>() => break first,
            Some(order) = orders.recv() => match order {
                Order::Kill => {
                    parentage.give_up();
                    return Err(parentage.excuse().await);
                }
                Order::Retire(..) | Order::Terminate => return Err(CALLED_OFF.into()),
                Order::Welcome | Order::Interrupt(..) | Order::Dump => {}
            }
        }
    };
    let sender = match first {
        Ok(Some((Born {}, sender))) => sender,
        Ok(None) => return Err(parentage.excuse().await),
        Err(error) => return Err(format!("was not forked by its template: {error}")),
    };
    let process = parentage.acknowledge(sender).and_then(|process| {
        let (pid, template) = (process.pid(), parentage.pid());
        Ok((News::Born { pid, start: process::start_time(pid)?, template }, process))
    });
    let (news, mut process) =
        process.map_err(|error| format!("is not the process that it should be: {error}"))?;
    report(name, reports, news).await;
    while let Some(order) = orders.recv().await {
        match order {
            Order::Welcome => {
                return match control.try_send(&Attached {}) {
                    Ok(()) => Ok((process, control)),
                    Err(error) => Err(format!("ended when it was to begin: {error}")),
                };
            }
            Order::Retire(..) | Order::Terminate | Order::Kill => break,
            Order::Interrupt(..) | Order::Dump => {}
        }
    }
    process.kill_group(); // it may not be able to see that its socket closes
    Err(CALLED_OFF.into())
}

/// How a worker ends that nobody wants any more.
const CALLED_OFF: &str = "was called off before it had begun";

async fn report(name: &Name, reports: &mpsc::Sender<Report>, news: News) {
    let report = Report { pool: name.pool, serial: name.serial, news };
    let _ = reports.send(report).await; // fails only when the supervisor has ended
}

impl Worker {
    async fn live(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        let how = loop {
            tokio::select! {
                how = self.process.wait() => break how,
                Some(order) = orders.recv() => self.obey(order),
                said = wire::next_said(&mut self.control, PERMITTED) => self.hear(said).await,
                () = self.output.log_next() => {}
            }
        };
        let _ = tokio::time::timeout(LAST_WORDS, self.hear_out()).await;
        let last_line = self.output.last();
        self.report(News::Exited { how, last_line }).await;
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Retire(reason, time) => {
                let seconds = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
                let retire = Retire { reason: reason.name().into(), seconds };
                let told = self.control.as_ref().map(|control| control.try_send(&retire));
                if !matches!(told, Some(Ok(()))) {
                    self.process.signal(Signal::SIGTERM); // it has hung up: the only way left to ask
                }
            }
            Order::Interrupt(Busy { thread, begun, .. }, abandon) => {
                let word = Interrupt { thread, begun, abandon };
                // Without this word the request is waited for until its worker is killed.
                let _ = self.control.as_ref().map(|control| control.try_send(&word));
            }
            Order::Welcome => {} // it has begun
            Order::Dump => self.process.signal(Signal::SIGQUIT),
            Order::Terminate => self.process.signal(Signal::SIGTERM),
            Order::Kill => self.process.kill_group(),
        }
    }

    async fn hear(&mut self, said: Result<Option<Frame>, WireError>) {
        let news = match said {
            Ok(Some(frame)) => self.understand(frame),
            Ok(None) => {
                self.control = None; // its end closes with the process; the exit tells the rest
                return;
            }
            Err(error) => Err(error),
        };
        match news {
            Ok(Some(news)) => self.report(news).await,
            Ok(None) => {}
            Err(error) => {
                tracing::error!(group = %self.name.group, pid = self.pid, "worker is killed: on its control socket, {error}");
                self.control = None;
                self.obey(Order::Kill);
            }
        }
    }

    fn understand(&self, frame: Frame) -> Result<Option<News>, WireError> {
        match frame.kind {
            Kind::Ready => {
                let Ready { loaded, failure } = Ready::from_frame(frame)?;
                Ok(Some(News::Ready { loaded, failure: printable_lines(&failure) }))
            }
            Kind::ReloadWanted => {
                Ok(Some(News::ReloadWanted { reason: printable(&ReloadWanted::from_frame(frame)?.reason) }))
            }
            Kind::Worn => {
                // Whatever else it calls its reason, it wants to be replaced.
                let reason = Reason::named(&Worn::from_frame(frame)?.reason).unwrap_or(Reason::Graceful);
                Ok(Some(News::Worn { reason }))
            }
            Kind::Note => {
                self.note(&Note::from_frame(frame)?);
                Ok(None)
            }
            other => Err(WireError::NotHere(other)),
        }
    }

    fn note(&self, note: &Note) {
        let (group, pid, text) = (&self.name.group, self.pid, printable(&note.text));
        match Level::from_number(note.level) {
            Level::Critical | Level::Error => tracing::error!(target: WORKER, "[{group} {pid}] {text}"),
            Level::Warning => tracing::warn!(target: WORKER, "[{group} {pid}] {text}"),
            Level::Notice | Level::Info => tracing::info!(target: WORKER, "[{group} {pid}] {text}"),
            Level::Debug => tracing::debug!(target: WORKER, "[{group} {pid}] {text}"),
        }
    }

    /// What is still in the pipes.
    async fn hear_out(&mut self) {
        while let Some(control) = &mut self.control {
            let Ok(Some(frame)) = control.next(PERMITTED).await else { break };
            if let Ok(Some(news)) = self.understand(frame) {
                self.report(news).await;
            }
        }
        while self.output.is_open() {
            self.output.log_next().await;
        }
    }

    async fn report(&self, news: News) {
        report(&self.name, &self.reports, news).await;
    }
}

/// Control characters of a worker stay out of the daemon's log.
pub fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_control() && c != '\t' { '\u{fffd}' } else { c };
    text.chars().map(shown).collect()
}

/// The same for a text of several lines, such as a traceback: as much of its end as one may have.
fn printable_lines(text: &str) -> String {
    let lines = text.lines().map(printable).collect::<Vec<_>>().join("\n");
    end_of(&lines, bounds::TRACEBACK).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_traceback_the_end_is_shown() {
        assert_eq!(printable_lines("a\x1bb\nc\n"), "a\u{fffd}b\nc");
        // What is not printable is longer where it is shown; a character is never cut.
        let shown = printable_lines(&("\x1b".repeat(bounds::TRACEBACK) + "\nValueError: é"));
        assert!(shown.ends_with("\nValueError: é") && shown.len() <= bounds::TRACEBACK, "{}", shown.len());
        assert!(shown.len() > bounds::TRACEBACK - 4);
    }

    #[test]
    fn no_escape_sequence_reaches_the_log() {
        assert_eq!(printable("a\x1b[31mb\tc\n"), "a\u{fffd}[31mb\tc\u{fffd}");
    }
}
