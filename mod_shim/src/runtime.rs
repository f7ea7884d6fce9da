//! What lasts from one reading of the configuration to the next: the groups that requests may name,
//! and, in each child, the pools it has opened. The parent opens none.

use crate::broker;
use crate::buffers::Buffers;
use crate::channel::Channel;
use crate::drain::Drain;
use crate::fault::Fault;
use crate::owner::Owner;
use crate::pool::Pool;
use crate::pools::Pools;
use crate::suspects::Suspects;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use wsgid_proto::board::Claim;
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
    pools: Arc<Pools>,
    met: AtomicBool,
    answered: AtomicBool,
    /// Looks after slow clients and kept connections; not for the parent.
    pub drain: Drain,
    /// For bodies on their way to workers.
    pub buffers: Buffers,
    /// Requests over which workers have died.
    pub suspects: Suspects,
}

impl Runtime {
    /// With no pool open; `threaded` as in [`crate::draft::Facts`].
    pub fn new(
        control: PathBuf,
        configuration: Configure,
        groups: HashMap<String, DeclaredGroup>,
        threaded: bool,
    ) -> Self {
        let broker = control.with_file_name("broker.sock");
        let pools = Arc::<Pools>::default();
        Self {
            control,
            broker,
            configuration,
            groups,
            met: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            drain: Drain::new(pools.clone(), threaded),
            pools,
            buffers: Buffers::default(),
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
        self.pools.get(name)
    }

    /// Keeps a connection of a pool for the next request to the same worker.
    pub fn keep(&self, pool: &Pool, claim: Claim, channel: Channel) {
        pool.keep(claim, channel);
        self.drain.plan_sweep();
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
        let pool = self.pools.put(name, opened);
        pool.told_script(script);
        Ok(pool)
    }
}
