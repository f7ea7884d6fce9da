//! What lasts from one reading of the configuration to the next: the groups that requests may name,
//! and, in each child, the pools it has opened. The parent opens none.

use crate::broker;
use crate::drain::Drain;
use crate::fault::Fault;
use crate::owner::Owner;
use crate::pool::Pool;
use crate::suspects::Suspects;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use wsgid_proto::board::PoolState;
use wsgid_proto::broker::{Fate, OpenPool};
use wsgid_proto::control::Configure;
use wsgid_proto::options::ProcessGroup;

/// A process group, and who may use it.
#[derive(Debug, Clone)]
pub struct DeclaredGroup {
    /// Its options, parsed.
    pub options: ProcessGroup,
    /// The `ServerName` it is bound to; `None` for all.
    pub server: Option<String>,
    /// Whose scripts it runs; `None` for anybody's.
    pub script_owner: Option<Owner>,
}

/// Names a pool within this httpd.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PoolName {
    /// Process group.
    pub process: String,
    /// Application group.
    pub application: String,
}

/// The runtime.
#[derive(Debug)]
pub struct Runtime {
    /// The daemon's control socket.
    pub control: PathBuf,
    broker: PathBuf,
    /// What the daemon was told, or is to be told.
    pub configuration: Configure,
    groups: HashMap<String, DeclaredGroup>,
    pools: Mutex<HashMap<PoolName, Arc<Pool>>>,
    met: AtomicBool,
    answered: AtomicBool,
    /// Looks after slow clients; not for the parent.
    pub drain: Drain,
    /// Requests over which workers have died.
    pub suspects: Suspects,
}

impl Runtime {
    /// With no pool open.
    pub fn new(control: PathBuf, configuration: Configure, groups: HashMap<String, DeclaredGroup>) -> Self {
        let broker = control.with_file_name("broker.sock");
        Self {
            control,
            broker,
            configuration,
            groups,
            pools: Mutex::default(),
            met: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            drain: Drain::default(),
            suspects: Suspects::default(),
        }
    }

    /// The daemon has answered at least once since httpd started: when it is absent now, it is most
    /// likely being restarted, and worth waiting for.
    pub fn has_met_daemon(&self) -> bool {
        self.met.load(Relaxed)
    }

    /// The daemon has answered.
    pub fn met_daemon(&self) {
        self.met.store(true, Relaxed);
    }

    /// The daemon has said yes or no to this very configuration: that it knows an earlier one of this
    /// httpd is not enough.
    pub fn is_answered(&self) -> bool {
        self.answered.load(Relaxed)
    }

    /// The daemon has said yes or no.
    pub fn set_answered(&self) {
        self.met_daemon();
        self.answered.store(true, Relaxed);
    }

    /// May a group see httpd's scoreboard?
    pub fn shows_scores(&self) -> bool {
        self.groups.values().any(|group| group.options.server_metrics)
    }

    /// A declared group.
    pub fn group(&self, name: &str) -> Option<&DeclaredGroup> {
        self.groups.get(name)
    }

    /// The pool, if this child has it open.
    pub fn pool(&self, name: &PoolName) -> Option<Arc<Pool>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Asks the daemon what became of a worker.
    pub fn fate(&self, pool: u64, serial: u32) -> Fate {
        broker::fate(&self.broker, pool, serial)
    }

    /// Asks the daemon for the pool and puts it in the place of what was there, unless it is the same.
    pub fn open(&self, name: &PoolName, script: &[u8], crowded: bool) -> Result<Arc<Pool>, Fault> {
        let ask = OpenPool {
            instance: self.configuration.instance.clone(),
            process_group: name.process.clone(),
            application_group: name.application.clone(),
            script: script.to_vec().into(),
            crowded,
        };
        let opened = broker::open(&self.broker, &ask)?;
        self.met_daemon();
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = pools.get(name).filter(|known| known.id == opened.pool.pool) {
            known.told_script(script);
            known.told_trouble(opened.pool.trouble);
            return Ok(known.clone());
        }
        let pool = Arc::new(Pool::new(opened));
        pool.told_script(script);
        // Groups whose names come from requests may never be asked for again; nor may what is kept of them stay.
        pools.retain(|_, pool| pool.board().pool_state() != PoolState::Closed);
        pools.insert(name.clone(), pool.clone());
        Ok(pool)
    }
}
