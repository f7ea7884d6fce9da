//! What a thread has used of the processors.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use std::time::Duration;

/// In itself and in the kernel.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

impl Usage {
    /// Both together.
    pub(crate) fn whole(self) -> Duration {
        self.user + self.system
    }

    /// Since then. The kernel estimates the two parts, so that one may seem to have become less.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            user: self.user.saturating_sub(before.user),
            system: self.system.saturating_sub(before.system),
        }
    }

    /// The same proportion in no more than so much time.
    pub(crate) fn within(self, most: Duration) -> Self {
        if self.whole() <= most {
            return self;
        }
        let user = most.mul_f64(self.user.as_secs_f64() / self.whole().as_secs_f64());
        Self { user, system: most.saturating_sub(user) }
    }
}

/// Of the calling thread, since it began.
pub(crate) fn of_thread() -> Usage {
    getrusage(UsageWho::RUSAGE_THREAD).map_or_else(
        |_| Usage::default(),
        |usage| Usage { user: duration(usage.user_time()), system: duration(usage.system_time()) },
    )
}

fn duration(time: TimeVal) -> Duration {
    let seconds = Duration::from_secs(u64::try_from(time.tv_sec()).unwrap_or(0));
    seconds + Duration::from_micros(u64::try_from(time.tv_usec()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    const fn usage(user: u64, system: u64) -> Usage {
        Usage { user: Duration::from_millis(user), system: Duration::from_millis(system) }
    }

    #[test]
    fn a_part_that_seems_to_have_shrunk_is_nothing() {
        let used = usage(30, 9).since(usage(10, 10));
        assert_eq!((used.user, used.system), (Duration::from_millis(20), Duration::ZERO));
    }

    #[test]
    fn no_more_is_used_than_time_has_passed_and_the_proportion_stays() {
        let used = usage(30, 10).within(Duration::from_millis(20));
        assert_eq!((used.user, used.system), (Duration::from_millis(15), Duration::from_millis(5)));
        assert_eq!(usage(30, 10).within(Duration::from_millis(40)).whole(), Duration::from_millis(40));
    }

    #[test]
    fn a_thread_that_works_uses_the_processor() {
        let (before, begun) = (of_thread(), Instant::now());
        while of_thread().since(before).whole() < Duration::from_millis(20) {
            assert!(begun.elapsed() < Duration::from_secs(30), "the processor's time stands still");
        }
    }
}
