//! Requests over which workers have died: what has killed two and never had an answer is refused for a while, so that
//! one address that crashes an application does not keep everybody else from it.
//!
//! Whoever was in a worker when it died is suspected, the innocent among them; an answer clears them. However many
//! requests of one name were in it, it has died once. Each child of httpd's has its own list, which is as good as empty
//! on every good day.

use crate::runtime::PoolName;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Deaths without an answer in between that are one too many.
const DEATHS: usize = 2;
/// How long it is refused, from the last death on.
const WHILE: Duration = Duration::from_secs(60);
/// Nobody needs more; the longest known makes room.
const MOST: usize = 256;

/// What tells one request from another: its pool, its server, its method and its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name(u64);

impl Name {
    /// Of a request.
    pub fn of(pool: &PoolName, server: &[u8], method: &[u8], target: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        (pool, server, method, target).hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// A worker: its pool's number, and its serial there.
pub type Victim = (u64, u32);

/// What is known of a request.
#[derive(Debug)]
struct Record {
    /// The first that have died over it: no more than it takes.
    victims: Vec<Victim>,
    last: Instant,
}

/// The list.
#[derive(Debug, Default)]
pub struct Suspects {
    known: Mutex<HashMap<Name, Record>>,
    number: AtomicUsize,
}

impl Suspects {
    /// Is there anybody? If not, the name need not be known.
    pub fn is_empty(&self) -> bool {
        self.number.load(Relaxed) == 0
    }

    /// Is that request refused, and for how much longer?
    pub fn refused(&self, name: Name, now: Instant) -> Option<Duration> {
        self.with(|known| {
            let record = known.get(&name)?;
            let left = WHILE.checked_sub(now.saturating_duration_since(record.last));
            let (left, enough) = (left.filter(|left| !left.is_zero()), record.victims.len() >= DEATHS);
            if left.is_none() {
                known.remove(&name);
            }
            left.filter(|_| enough)
        })
    }

    /// That worker has died over it.
    pub fn accuse(&self, name: Name, victim: Victim, now: Instant) {
        self.with(|known| {
            known.retain(|_, record| now.saturating_duration_since(record.last) < WHILE);
            if known.len() >= MOST && !known.contains_key(&name) {
                let oldest = known.iter().min_by_key(|(_, record)| record.last).map(|(name, _)| *name);
                oldest.map(|oldest| known.remove(&oldest));
            }
            let record = known.entry(name).or_insert_with(|| Record { victims: Vec::new(), last: now });
            record.last = now;
            if record.victims.len() < DEATHS && !record.victims.contains(&victim) {
                record.victims.push(victim);
            }
        });
    }

    /// It has had an answer.
    pub fn clear(&self, name: Name) {
        self.with(|known| known.remove(&name));
    }

    fn with<R>(&self, work: impl FnOnce(&mut HashMap<Name, Record>) -> R) -> R {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let result = work(&mut known);
        self.number.store(known.len(), Relaxed);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(target: &[u8]) -> Name {
        let pool = PoolName { process: "g".into(), application: String::new() };
        Name::of(&pool, b"host", b"GET", target)
    }

    #[test]
    fn two_deaths_without_an_answer_are_one_too_many() {
        let suspects = Suspects::default();
        let (bad, good) = (name(b"/bad"), name(b"/"));
        let now = Instant::now();
        assert!(suspects.is_empty());
        // Many requests of both names were in the first worker.
        for _ in 0..10 {
            suspects.accuse(bad, (1, 1), now);
            suspects.accuse(good, (1, 1), now);
        }
        assert_eq!((suspects.refused(bad, now), suspects.refused(good, now)), (None, None));
        suspects.clear(good);
        suspects.accuse(bad, (1, 2), now);
        suspects.accuse(good, (1, 2), now);
        let later = now + Duration::from_secs(20);
        assert_eq!(suspects.refused(bad, later), Some(Duration::from_secs(40)));
        assert_eq!(suspects.refused(good, later), None);
        assert_eq!(suspects.refused(bad, now + WHILE), None, "it has another chance");
        suspects.clear(good);
        assert!(suspects.is_empty());
    }

    #[test]
    fn there_are_never_too_many() {
        let suspects = Suspects::default();
        let now = Instant::now();
        for n in 0..1000_u32 {
            suspects.accuse(name(&n.to_le_bytes()), (1, n), now + Duration::from_millis(n.into()));
        }
        assert_eq!(suspects.number.load(Relaxed), MOST);
        suspects.accuse(name(b"/"), (1, 1), now + WHILE * 2);
        assert_eq!(suspects.number.load(Relaxed), 1);
    }
}
