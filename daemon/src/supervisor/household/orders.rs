//! What the household does when it is asked: by Apache children for pools, by the operator for
//! status and reloads, by the system to stop.

use super::{Household, Place};
use crate::supervisor::difference;
use crate::supervisor::errands::{Errand, OpenedPool, Reply};
use crate::supervisor::pool::{Opening, Pool, PoolKey};
use crate::supervisor::worker::printable;
use std::time::Instant;
use wsgid_proto::bounds;
use wsgid_proto::broker::{AskFate, Fate, OpenPool, PoolOpened, PoolRefused, RefusalCause};
use wsgid_proto::control::{Done, KnownReply, PostScores, Status};

impl Household {
    /// Does an errand and answers it.
    pub fn run(&mut self, errand: Errand, now: Instant) {
        // An asker that did not wait for its answer is no concern of ours.
        match errand {
            Errand::Configure(configure, reply) => {
                let known = self.instances.get(&configure.instance).map(|instance| &instance.configure);
                let same = known == Some(&configure) && !self.stopping && !self.parting;
                // httpd waits for this, at every graceful restart.
                if let Some(answer) = self.answers.get(&configure.instance).filter(|_| same) {
                    let _ = reply.send(answer.clone());
                    self.again.insert(configure.instance.clone(), configure);
                    return;
                }
                let answer = self.configure(configure);
                if !same && answer.refusal.is_empty() {
                    self.remember();
                }
                let _ = reply.send(answer);
            }
            Errand::Known(instance, reply) => {
                let _ = reply.send(KnownReply { known: self.instances.contains_key(&instance) });
            }
            Errand::Scores(posted, reply) => {
                let _ = reply.send(self.post_scores(&posted));
            }
            Errand::Status(reply) => {
                let _ = reply.send(self.status(now));
            }
            Errand::Reload(group, reply) => self.reload(group, reply, now),
            Errand::Open(ask, peer, reply) => {
                let answer = self.open_for(&ask, peer, now);
                if let Err(refused) = &answer {
                    self.log_refusal(&ask, peer, refused);
                }
                let _ = reply.send(answer);
            }
            Errand::Attach(newcomer) => self.attach(*newcomer, now),
            Errand::Fate(ask, peer, reply) => {
                let _ = reply.send(self.fate(&ask, peer));
            }
        }
    }

    fn post_scores(&self, posted: &PostScores) -> Done {
        match self.terms.surroundings.scores.post(&posted.instance, &posted.board) {
            Ok(seen) => Done { affected: seen.into(), refusal: String::new() },
            Err(error) => Done { affected: 0, refusal: error.to_string() },
        }
    }

    /// A worker's end is told to those who may have its pool, and to nobody else.
    fn fate(&self, ask: &AskFate, peer: u32) -> Option<Fate> {
        let pool = self.pools.get(&ask.pool)?;
        let web_uid = self.instances.get(&pool.key.instance)?.configure.web_uid;
        if [0, self.terms.own_uid, web_uid].contains(&peer) { pool.fate(ask.serial) } else { None }
    }

    fn open_for(&mut self, ask: &OpenPool, peer: u32, now: Instant) -> Result<OpenedPool, PoolRefused> {
        self.admit(ask, peer)?;
        let key = PoolKey {
            instance: ask.instance.clone(),
            process_group: ask.process_group.clone(),
            application_group: ask.application_group.clone(),
        };
        if self.expects_any_of(&key) && !self.places.contains_key(&key) {
            let reason = "wsgid has just started, and takes its workers over".into();
            return Err(refused(RefusalCause::UnknownInstance, reason));
        }
        let socket_dir = self.terms.surroundings.premises.sockets.display().to_string();
        self.hasten(&key, now);
        self.mend(&key, now);
        if self.places.contains_key(&key) {
            if let Some(pool) = self.learn(&key, &ask.script) {
                if ask.crowded {
                    pool.grow(now);
                }
                return Ok(opened(pool, socket_dir));
            }
        }
        if self.parting {
            return Err(refused(RefusalCause::Stopping, "wsgid makes room for the next".into()));
        }
        self.make_room(ask, now)?;
        let group = self.group(&key).ok_or_else(|| unknown_group(ask))?;
        // What the configuration names, where it had nobody start it; or else what the request does.
        let named = self.instances.get(&key.instance).map(difference::preloads);
        let named = named.and_then(|mut named| named.remove(&key));
        let preloaded = named.is_some();
        let of_request =
            || Some(&ask.script).filter(|script| !script.is_empty()).cloned().into_iter().collect();
        let scripts = named.unwrap_or_else(of_request);
        let opening = Opening { key, group, scripts, preloaded, wanted: 1 };
        let pool = self.open(opening, now).and_then(|id| self.pools.get(&id));
        let failed =
            || refused(RefusalCause::TooMany, "wsgid can't make another pool; its log says why".into());
        pool.map(|pool| opened(pool, socket_dir)).ok_or_else(failed)
    }

    /// Whoever asks again may have had no luck with the board: one that makes no sense is given up, with its workers,
    /// who can't be found by it any more. Another pool takes its place: that which is to do so anyway, if there is one.
    fn mend(&mut self, key: &PoolKey, now: Instant) {
        let Some(place) = self.places.get(key) else { return };
        let Some(damaged) = self.pools.get(&place.serving).filter(|pool| pool.is_damaged(now)) else {
            return;
        };
        let (serving, successor, pause) = (place.serving, place.successor, damaged.repair_pause());
        let opening = self.group(key).map(|group| damaged.reopening(group));
        let (group, application) = (printable(&key.process_group), printable(&key.application_group));
        tracing::error!(%group, %application, "the board of this pool has been overwritten: other workers take over");
        let next = match (successor, opening) {
            (Some(successor), _) => {
                self.places.insert(key.clone(), Place { serving: successor, successor: None });
                if let Some(pool) = self.pools.get_mut(&successor) {
                    pool.take_over(now);
                }
                self.dismiss(serving, now);
                Some(successor)
            }
            (None, opening) => {
                self.close(key, now);
                opening.and_then(|opening| self.open(opening, now))
            }
        };
        if let Some(pool) = next.and_then(|id| self.pools.get_mut(&id)) {
            pool.mends(pause, now);
        }
    }

    fn admit(&self, ask: &OpenPool, peer: u32) -> Result<(), PoolRefused> {
        if self.stopping {
            return Err(refused(RefusalCause::Stopping, "wsgid is on its way down".into()));
        }
        let Some(instance) = self.instances.get(&ask.instance) else {
            let reason = format!("wsgid has no configuration of the httpd instance '{}'", ask.instance);
            return Err(refused(RefusalCause::UnknownInstance, reason));
        };
        if ![0, self.terms.own_uid, instance.configure.web_uid].contains(&peer) {
            let reason = format!("user {peer} is not the web server of this instance");
            return Err(refused(RefusalCause::NotAllowed, reason));
        }
        let group = instance.groups.get(&ask.process_group).ok_or_else(|| unknown_group(ask))?;
        if group.options.is_service() {
            let reason = format!("process group '{}' serves no requests (threads=0)", ask.process_group);
            return Err(refused(RefusalCause::NotAllowed, reason));
        }
        Ok(())
    }

    /// What strangers are refused is no news: any of them could fill the log with it.
    fn log_refusal(&self, ask: &OpenPool, peer: u32, refused: &PoolRefused) {
        let (group, reason) = (printable(&ask.process_group), printable(&refused.reason));
        let web_user = self.instances.values().any(|instance| instance.configure.web_uid == peer);
        // Said to everybody who asks in the first moments, and heard by nobody but the module.
        if self.is_expecting() && refused.cause == RefusalCause::UnknownInstance {
            tracing::debug!(%group, peer, "no pool: {reason}");
        } else if web_user || peer == self.terms.own_uid || peer == 0 {
            tracing::warn!(%group, peer, "no pool: {reason}");
        } else {
            tracing::debug!(%group, peer, "no pool: {reason}");
        }
    }

    /// Under `%{HOST}` clients name the pools of a group. At the bound, one that was opened by a request
    /// and has nothing to do makes room: the one that had the fewest requests, which no busy site is.
    fn make_room(&mut self, ask: &OpenPool, now: Instant) -> Result<(), PoolRefused> {
        let same_group =
            |key: &PoolKey| key.instance == ask.instance && key.process_group == ask.process_group;
        if self.places.keys().filter(|key| same_group(key)).count() < bounds::OPENED_POOLS {
            return Ok(());
        }
        let idle = |(key, place): (&PoolKey, &super::Place)| {
            let pool = self.pools.get(&place.serving).filter(|pool| same_group(key) && !pool.preloaded)?;
            Some((pool.requests_if_idle()?, key.clone()))
        };
        let Some((requests, key)) = self.places.iter().filter_map(idle).min_by_key(|(requests, _)| *requests)
        else {
            let reason = format!("{} pools of this process group are open and busy", bounds::OPENED_POOLS);
            return Err(refused(RefusalCause::TooMany, reason));
        };
        let (group, application) = (printable(&key.process_group), printable(&key.application_group));
        tracing::info!(%group, %application, requests, "an idle application group makes room for another");
        self.close(&key, now);
        Ok(())
    }

    fn status(&self, now: Instant) -> Status {
        let mut pools: Vec<_> = self.pools.values().map(Pool::status).collect();
        pools.sort_by(|a, b| {
            let name = |pool: &wsgid_proto::control::PoolStatus| {
                (pool.instance.clone(), pool.process_group.clone(), pool.application_group.clone())
            };
            name(a).cmp(&name(b))
        });
        Status { pools, uptime_seconds: now.duration_since(self.terms.started).as_secs() }
    }

    /// New workers for all there are, which is not known before the last is taken over.
    pub(super) fn reload(&mut self, group: Option<String>, reply: Reply<Done>, now: Instant) {
        if self.is_expecting() {
            tracing::info!("an order to reload waits for the workers that are taken over");
            return self.reloads.push((group, reply));
        }
        let done = match group {
            Some(group) => self.reload_group(&group, now),
            None => Done { affected: self.roll(|_| true, now), refusal: String::new() },
        };
        let _ = reply.send(done);
    }

    fn reload_group(&mut self, group: &str, now: Instant) -> Done {
        if !self.instances.values().any(|instance| instance.groups.contains_key(group)) {
            return Done { affected: 0, refusal: format!("there is no process group '{group}'") };
        }
        let of_group = |pool: &PoolKey| pool.process_group == group;
        Done { affected: self.roll(of_group, now), refusal: String::new() }
    }

    fn roll(&mut self, chosen: impl Fn(&PoolKey) -> bool, now: Instant) -> u32 {
        self.finish(now);
        let mut rolled = 0;
        for place in self.places.iter().filter(|(key, _)| chosen(key)).map(|(_, place)| place) {
            for id in [Some(place.serving), place.successor].into_iter().flatten() {
                self.pools.get_mut(&id).into_iter().for_each(|pool| pool.roll(now));
            }
            rolled += 1;
        }
        rolled
    }

    /// Everyone finishes what they have; nobody comes any more.
    pub fn stop(&mut self, now: Instant) {
        self.stopping = true;
        self.due.clear();
        self.turn_away_expected();
        self.pools.values_mut().for_each(|pool| pool.leave(true, now));
        self.tick(now);
    }

    /// The next daemon is about to come: whoever it is not to take over finishes what it has, and nobody comes in
    /// their place; see [`Pool::is_bound`].
    pub fn dismiss_bound(&mut self, now: Instant) {
        self.parting = true;
        self.due.clear();
        self.again.clear();
        let bound: Vec<u64> =
            self.pools.values().filter(|pool| pool.is_bound()).map(|pool| pool.id).collect();
        for id in bound {
            if let Some(pool) = self.pools.get_mut(&id) {
                pool.leave(true, now);
            }
            self.forget_deserted(id, now);
        }
    }

    /// Is one of those still there?
    pub fn has_bound(&self) -> bool {
        self.pools.values().any(Pool::is_bound)
    }

    /// Nobody finishes anything any more.
    pub fn kill_all(&self) {
        self.pools.values().for_each(Pool::kill_all);
    }

    /// Has everyone gone?
    pub fn is_deserted(&self) -> bool {
        self.pools.is_empty()
    }
}

fn opened(pool: &Pool, socket_dir: String) -> OpenedPool {
    let trouble = pool.roster().trouble().chars().take(bounds::SMALL / 8).collect();
    OpenedPool { message: PoolOpened { pool: pool.id, socket_dir, trouble }, board: pool.board_file() }
}

fn refused(cause: RefusalCause, reason: String) -> PoolRefused {
    PoolRefused { cause, reason }
}

fn unknown_group(ask: &OpenPool) -> PoolRefused {
    let reason = format!("no WSGI process group '{}' has been configured", ask.process_group);
    refused(RefusalCause::UnknownGroup, reason)
}
