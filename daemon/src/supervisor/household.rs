//! Every pool of every httpd instance: which one serves, which one is to take over from it, and
//! which ones are on their way out.
//!
//! A place is a pool's name; a pool is one set of workers behind it. When a group changes, its pool
//! gets a successor with a number and a board of its own. The old one serves until the successor
//! does; then its board is closed, whoever holds it asks again, and its workers drain.

mod adoption;
mod due;
mod orders;

use super::difference::{self, Change, Present};
use super::errands::Reply;
use super::pool::{Opening, Pool, PoolKey, Surroundings};
use super::roster::Roster;
use super::worker::{News, Report, printable};
use crate::configuration::asked::AskedOnce;
use crate::configuration::{Accounts, Group, Instance, Privilege, accept, state};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;
use wsgid_proto::control::{Configure, Configured, Done};
use wsgid_proto::launch::Reason;

/// What the household knows about the world.
pub struct Terms {
    /// Paths, environment, and where workers report.
    pub surroundings: Surroundings,
    /// What may be done about users.
    pub privilege: Privilege,
    /// The user database.
    pub accounts: Box<dyn Accounts>,
    /// Where configurations are remembered.
    pub state_directory: PathBuf,
    /// Tells the sockets which users are web servers.
    pub web_users: watch::Sender<HashSet<u32>>,
    /// Tells the sockets which processes may be workers of an earlier daemon.
    pub expected: watch::Sender<HashSet<u32>>,
    /// Who may ask for any pool, beside root.
    pub own_uid: u32,
    /// When the daemon started.
    pub started: Instant,
    /// Of the machine's.
    pub processors: u32,
}

/// Who stands behind a pool's name.
#[derive(Debug)]
struct Place {
    serving: u64,
    successor: Option<u64>,
}

/// See the module.
pub struct Household {
    terms: Terms,
    instances: BTreeMap<String, Instance>,
    places: BTreeMap<PoolKey, Place>,
    pools: HashMap<u64, Pool>,
    due: VecDeque<Change>,
    /// What each httpd was answered last.
    answers: HashMap<String, Configured>,
    /// Configurations that have come again and are answered, and still to be looked at: users may be others now.
    again: BTreeMap<String, Configure>,
    /// When one of those was done last.
    proceeded: Instant,
    /// Workers of an earlier daemon.
    expected: adoption::Expected,
    /// Orders to reload that wait for those.
    reloads: Vec<(Option<String>, Reply<Done>)>,
    stopping: bool,
    /// Nobody new is started: the next daemon does that.
    parting: bool,
}

impl Household {
    /// An empty one.
    pub fn new(terms: Terms) -> Self {
        let (instances, places, pools, due, answers, again) = Default::default();
        let proceeded = terms.started;
        Self {
            terms,
            instances,
            places,
            pools,
            due,
            answers,
            again,
            proceeded,
            expected: Default::default(),
            reloads: Vec::new(),
            stopping: false,
            parting: false,
        }
    }

    /// Takes a configuration over, or refuses it and changes nothing. What follows from it for pools is done
    /// by and by: see [`Household::proceed`].
    pub fn configure(&mut self, configure: Configure) -> Configured {
        let refused = |refusal: String| Configured { refusal, warnings: Vec::new() };
        if self.stopping || self.parting {
            return refused("wsgid is on its way down".into());
        }
        let name = configure.instance.clone();
        let accounts = AskedOnce::new(&*self.terms.accounts);
        let (instance, warnings) = match accept(configure, &self.terms.privilege, &accounts) {
            Ok(accepted) => accepted,
            Err(refusal) => {
                tracing::error!(instance = %name, "configuration refused: {refusal}");
                return refused(refusal);
            }
        };
        warnings.iter().for_each(|warning| tracing::warn!(instance = %name, "{warning}"));
        self.again.remove(&name);
        // Compared with what is there, not with what was still to come.
        self.due.retain(|change| change.key().instance != name);
        let changes = self.changes(&instance);
        let answer = Configured { warnings, refusal: String::new() };
        self.answers.insert(name.clone(), answer.clone());
        self.instances.insert(name, instance);
        for change in changes {
            if !self.settle(&change) {
                self.due.push_back(change);
            }
        }
        self.publish_web_users();
        answer
    }

    /// Writes the accepted configurations down, for the daemon's next start.
    pub fn remember(&self) {
        let all = self.instances.values().map(|instance| &instance.configure);
        if let Err(error) = state::save(&self.terms.state_directory, all) {
            let directory = self.terms.state_directory.display();
            tracing::error!(
                "configurations can't be saved in {directory}, so a restart will not know them: {error}"
            );
        }
    }

    fn changes(&self, new: &Instance) -> Vec<Change> {
        let name = &new.configure.instance;
        let mut present = Present::new();
        for (key, place) in self.places.iter().filter(|(key, _)| key.instance == *name) {
            let serving = self.pools.get(&place.serving).map(Pool::group);
            let same = match (serving, new.groups.get(&key.process_group)) {
                (Some(old), Some(new)) => old.same_as(&new.for_application(&key.application_group)),
                _ => false,
            };
            present.insert(key, same);
        }
        difference::between(&present, new)
    }

    /// Does what starts and ends nobody: all there is to do for a pool whose group has not changed. False where
    /// there is more to it, which is done by and by.
    fn settle(&mut self, change: &Change) -> bool {
        let Some(place) = self.places.get(change.key()).filter(|place| place.successor.is_none()) else {
            return false;
        };
        let (serving, group) = (place.serving, self.group(change.key()));
        match (change, self.pools.get_mut(&serving), group) {
            (Change::Keep(_), Some(pool), Some(group)) => {
                pool.set_group(group);
                true
            }
            (Change::Preload(_, scripts), Some(pool), _) => pool.preloads(scripts),
            _ => false,
        }
    }

    fn apply(&mut self, change: Change, now: Instant) {
        match change {
            Change::Close(key) => self.close(&key, now),
            Change::Keep(key) => self.keep(&key, now),
            Change::Replace(key, named) => self.replace(&key, named, now),
            // It was taken over after this was found to be missing.
            Change::Open(key, scripts) if self.places.contains_key(&key) => {
                self.apply(Change::Preload(key, scripts), now);
            }
            Change::Open(key, scripts) => {
                let Some(group) = self.group(&key) else { return };
                let wanted = group.options.processes_at_first();
                if wanted == 0 {
                    return; // until a request asks for it
                }
                self.open(Opening { key, group, scripts, preloaded: true, wanted }, now);
            }
            Change::Preload(key, scripts) => {
                if let Some(pool) = self.newest(&key) {
                    pool.preload(scripts, now);
                }
            }
            Change::Unload(key) => self.newest(&key).into_iter().for_each(|pool| pool.unload(now)),
        }
    }

    /// Who serves in a place, or is about to.
    fn newest(&mut self, key: &PoolKey) -> Option<&mut Pool> {
        let place = self.places.get(key)?;
        self.pools.get_mut(&place.successor.unwrap_or(place.serving))
    }

    /// The group of a pool, as it is for its application.
    fn group(&self, key: &PoolKey) -> Option<Arc<Group>> {
        let group = self.instances.get(&key.instance)?.groups.get(&key.process_group)?;
        Some(group.for_application(&key.application_group))
    }

    fn open(&mut self, opening: Opening, now: Instant) -> Option<u64> {
        let key = opening.key.clone();
        let id = self.start_pool(opening, false, now)?;
        self.places.insert(key, Place { serving: id, successor: None });
        Some(id)
    }

    /// With `beside`, another serves meanwhile.
    fn start_pool(&mut self, opening: Opening, beside: bool, now: Instant) -> Option<u64> {
        let title = opening.group.title().to_string();
        let mut pool = match Pool::open(opening, self.terms.surroundings.clone()) {
            Ok(pool) => pool,
            Err(error) => {
                tracing::error!(group = %title, "no pool can be made: {error}");
                return None;
            }
        };
        if pool.group().options.is_service() {
            let same = self.pools.values().filter(|other| other.key == pool.key);
            pool.wait_for(same.map(|other| other.id).collect());
        }
        if beside {
            pool.begin_beside();
        }
        pool.tick(now);
        let id = pool.id;
        self.pools.insert(id, pool);
        Some(id)
    }

    fn close(&mut self, key: &PoolKey, now: Instant) {
        let Some(place) = self.places.remove(key) else { return };
        self.dismiss(place.serving, now);
        place.successor.into_iter().for_each(|id| self.dismiss(id, now));
    }

    /// The pool's board is closed and its workers drain; it is forgotten when the last has gone.
    fn dismiss(&mut self, id: u64, now: Instant) {
        if let Some(pool) = self.pools.get_mut(&id) {
            pool.close();
            pool.leave(false, now);
        }
        self.forget_deserted(id, now);
    }

    fn forget_deserted(&mut self, id: u64, now: Instant) {
        if self.pools.get(&id).is_some_and(|pool| pool.roster().is_deserted()) {
            self.pools.remove(&id);
            self.pools.values_mut().for_each(|pool| pool.is_gone(id, now));
        }
    }

    fn keep(&mut self, key: &PoolKey, now: Instant) {
        let group = self.group(key);
        let Some(place) = self.places.get_mut(key) else { return };
        let called_off = place.successor.take();
        if let (Some(pool), Some(group)) = (self.pools.get_mut(&place.serving), group) {
            pool.set_group(group);
        }
        called_off.into_iter().for_each(|id| self.dismiss(id, now));
    }

    fn replace(&mut self, key: &PoolKey, named: bool, now: Instant) {
        let Some(group) = self.group(key) else { return };
        let Some(place) = self.places.get_mut(key) else { return };
        let under_way = place.successor.and_then(|id| self.pools.get(&id));
        if under_way.is_some_and(|successor| successor.group().same_as(&group)) {
            return;
        }
        let called_off = place.successor.take();
        let Some(old) = self.pools.get(&place.serving) else { return };
        let (wanted, beside) = (old.roster().wanted(), old.roster().serves());
        let alone = group.options.is_service() || old.group().options.is_service();
        // What a configuration named before, and this one does not, is no concern of the new pool's.
        let scripts = if named || !old.preloaded { old.scripts().to_vec() } else { Vec::new() };
        let opening = Opening { key: key.clone(), group, scripts, preloaded: false, wanted };
        called_off.into_iter().for_each(|id| self.dismiss(id, now));
        if alone {
            // A service and its successor are never there at the same time.
            self.close(key, now);
            self.open(opening, now);
            return;
        }
        let successor = self.start_pool(opening, beside, now);
        if let Some(place) = self.places.get_mut(key) {
            place.successor = successor;
        }
    }

    /// A worker has reported.
    pub fn hear(&mut self, report: Report, now: Instant) {
        let Report { pool: id, serial, news } = report;
        let Some(key) = self.pools.get(&id).map(|pool| pool.key.clone()) else { return };
        let old =
            self.places.get(&key).filter(|place| place.successor == Some(id)).map(|place| place.serving);
        let rival = old.and_then(|old| self.pools.get(&old)).is_some_and(|old| old.roster().serves_loaded());
        // A successor that fails at some is as complete as it will be; an old pool may have nobody left.
        let turn = matches!(news, News::Ready { .. } | News::Exited { .. });
        if matches!(news, News::Worn { reason: Reason::Inactivity }) && self.rest(&key, id, serial, now) {
            return;
        }
        if let Some(pool) = self.pools.get_mut(&id) {
            pool.hear(serial, news, rival, now);
        }
        self.forget_deserted(id, now);
        let successor = self.places.get(&key).and_then(|place| place.successor).filter(|_| turn);
        successor.into_iter().for_each(|successor| self.hand_over(&key, successor, now));
    }

    /// A worker has had nothing to do for long. Where requests have opened its pool, they may do so again:
    /// it goes, and with the last the pool. True if that is so.
    fn rest(&mut self, key: &PoolKey, id: u64, serial: u32, now: Instant) -> bool {
        let Some(pool) = self.pools.get_mut(&id) else { return false };
        let options = pool.group().options.clone();
        if pool.preloaded && options.processes_min.is_none() {
            return false;
        }
        if pool.spare(serial, now) {
            return true;
        }
        if options.processes_min.is_some_and(|least| least > 0) {
            // As few as there may be: only for `inactivity-timeout` does one make room for another.
            return options.inactivity_timeout == 0 || options.inactivity_timeout > options.idle_timeout;
        }
        let alone =
            self.places.get(key).is_some_and(|place| place.serving == id && place.successor.is_none());
        let empty = pool.roster().wanted() == 1 && pool.requests_if_idle().is_some();
        if alone && empty {
            let (group, application) = (printable(&key.process_group), printable(&key.application_group));
            tracing::info!(%group, %application, "an idle application group is closed until it is asked for");
            self.close(key, now);
        }
        alone && empty
    }

    /// A successor that serves takes its place, as soon as it can do what the old pool does.
    fn hand_over(&mut self, key: &PoolKey, id: u64, now: Instant) {
        let roster_of = |id| self.pools.get(&id).map(Pool::roster);
        let Some(old) = self.places.get(key).filter(|place| place.successor == Some(id)) else { return };
        let old_serves = roster_of(old.serving).is_some_and(Roster::serves);
        let may = |new: &Roster| new.is_complete() || (new.serves() && !old_serves);
        if !roster_of(id).is_some_and(may) {
            return;
        }
        let Some(place) = self.places.get_mut(key) else { return };
        let old = std::mem::replace(&mut place.serving, id);
        place.successor = None;
        tracing::info!(group = %key.process_group, "the changed group has taken over");
        if let Some(pool) = self.pools.get_mut(&id) {
            pool.take_over(now);
        }
        self.dismiss(old, now);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) {
        self.end_expecting_if_late(now);
        self.pools.values_mut().for_each(|pool| pool.tick(now));
        let deserted = self.pools.values().filter(|pool| pool.roster().is_deserted()).map(|pool| pool.id);
        for id in deserted.collect::<Vec<_>>() {
            self.forget_deserted(id, now);
        }
    }

    /// When to call [`Household::tick`] at the latest.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        self.pools
            .values()
            .filter_map(Pool::deadline)
            .chain(self.due_at(now))
            .chain(self.expecting_until())
            .min()
    }

    /// Ends what the next version of the daemon starts for itself.
    pub fn drop_templates(&mut self) {
        self.pools.values_mut().for_each(Pool::drop_template);
    }

    /// Is some script worth a look every second?
    pub fn awaits_scripts(&self) -> bool {
        self.pools.values().any(|pool| pool.roster().awaits_scripts())
    }

    /// Looks at those scripts.
    pub fn look_at_scripts(&mut self, now: Instant) {
        self.pools.values_mut().for_each(|pool| pool.look_at_scripts(now));
    }

    fn publish_web_users(&self) {
        let users = self.instances.values().map(|instance| instance.configure.web_uid).collect();
        self.terms.web_users.send_replace(users);
    }

    fn learn(&mut self, key: &PoolKey, script: &Bytes) -> Option<&mut Pool> {
        let id = self.places.get(key)?.serving;
        let pool = self.pools.get_mut(&id)?;
        pool.learn_script(script);
        Some(pool)
    }
}
