//! Signals that are for the application: each becomes an event, told in a thread of its own, so that no
//! subscriber keeps the main thread from hearing that the worker has to end.

use crate::{journal, watch};
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, JoinHandle};

/// The thread, once there has been a signal.
#[derive(Default)]
pub(crate) struct Signals {
    told: Option<(Sender<i32>, JoinHandle<()>)>,
}

impl Signals {
    /// Has it told.
    pub(crate) fn tell(&mut self, number: i32) {
        if self.told.is_none() {
            self.told = start();
        }
        if let Some((sender, _)) = &self.told {
            let _ = sender.send(number);
        }
    }

    /// No more of them: the thread ends when all that have come are told.
    pub(crate) fn stop(self) -> Option<JoinHandle<()>> {
        self.told.map(|(_, thread)| thread)
    }
}

fn start() -> Option<(Sender<i32>, JoinHandle<()>)> {
    let (sender, numbers) = channel();
    let thread = Builder::new()
        .name("wsgid-signals".into())
        .spawn(move || numbers.iter().for_each(watch::process_signal));
    match thread {
        Ok(thread) => Some((sender, thread)),
        Err(e) => {
            journal::note(&format!("a signal is not told, since its thread can't be started: {e}"));
            None
        }
    }
}
