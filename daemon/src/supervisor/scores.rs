//! The scoreboards of httpd instances, each in a memory file that its workers may read if their group may see
//! it (`server-metrics=On`). The daemon copies what the Apache parent posts and does not look into it.

use crate::sys::memory;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::rc::Rc;
use wsgid_proto::scoreboard::post;

/// One for each instance that has a group which may see it.
#[derive(Debug, Default)]
pub struct Scores(RefCell<BTreeMap<String, Rc<Posted>>>);

#[derive(Debug)]
struct Posted {
    file: File,
    /// Of the last posting.
    number: Cell<u64>,
}

impl Scores {
    /// The descriptor for a worker, which can read and no more.
    pub fn file_of(&self, instance: &str) -> io::Result<OwnedFd> {
        let mut all = self.0.borrow_mut();
        let posted = match all.get(instance) {
            Some(posted) => posted.clone(),
            None => {
                let posted = Rc::new(Posted::new()?);
                all.insert(instance.into(), posted.clone());
                posted
            }
        };
        memory::reader(&posted.file)
    }

    /// Posts the scoreboard of an instance. False if no worker of it may see that.
    pub fn post(&self, instance: &str, board: &[u8]) -> io::Result<bool> {
        let posted = self.0.borrow().get(instance).cloned();
        posted.map_or(Ok(false), |posted| posted.write(board).map(|()| true))
    }
}

impl Posted {
    fn new() -> io::Result<Self> {
        let file = memory::file(c"wsgid-scores")?;
        // Memory files are everybody's to open anew, by way of /proc.
        file.set_permissions(Permissions::from_mode(0o400))?;
        Ok(Self { file, number: Default::default() })
    }

    fn write(&self, board: &[u8]) -> io::Result<()> {
        let number = self.number.get();
        self.file.write_all_at(&post::header(number + 1, 0), 0)?;
        self.file.write_all_at(board, post::HEADER as u64)?;
        self.file.write_all_at(&post::header(number + 2, board.len()), 0)?;
        self.number.set(number + 2);
        Ok(())
    }
}
