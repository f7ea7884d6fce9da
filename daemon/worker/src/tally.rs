//! What requests cost a process, added up: by interval, by phase and by thread. Pure: clocks are read elsewhere.

use crate::meter::{Flow, Meter, Outcome};
use std::time::{Duration, Instant};

/// Of each power of two of milliseconds four, below 65,536; all that takes longer is in the last.
pub(crate) const BUCKETS: usize = 65;
/// In the order of `PHASES` in `python/metrics.py`.
const PHASES: usize = 8;

/// Everything since the recording began.
#[derive(Debug)]
pub(crate) struct Tally {
    threads: Vec<Thread>,
    /// Thread time in requests, up to `since`.
    busy: Duration,
    since: Instant,
    active: u32,
    interval: Interval,
}

/// One request thread.
#[derive(Debug, Default)]
struct Thread {
    present: Option<Present>,
    served: u64,
    lap: Lap,
}

/// The request that a thread serves.
#[derive(Debug)]
struct Present {
    begun: Instant,
    /// From here on its time is in no lap yet.
    uncounted: Instant,
    /// What the thread had used up before.
    cpu: Duration,
}

/// What one thread did in an interval.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Lap {
    /// Requests that ended.
    pub(crate) completed: u64,
    /// Time in requests.
    pub(crate) busy: Duration,
    /// Processor time of those that ended.
    pub(crate) cpu: Duration,
    /// How long the present one has taken so far.
    pub(crate) elapsed: Duration,
    /// The longest that ended.
    pub(crate) longest: Duration,
}

/// What all threads did since it was taken out last.
#[derive(Debug, Default)]
pub(crate) struct Interval {
    /// Requests that ended.
    pub(crate) completed: u64,
    /// Those that were measured.
    pub(crate) samples: u64,
    /// Thread time in requests.
    pub(crate) busy: Duration,
    /// By phase.
    pub(crate) phases: [Phase; PHASES],
    /// How often a thread waited for the GIL.
    pub(crate) gil_waits: u64,
    /// Bytes and reads.
    pub(crate) input: (u64, u64),
    /// Bytes and writes.
    pub(crate) output: (u64, u64),
    /// By the first digit of the status, from 1 on.
    pub(crate) statuses: [u64; 5],
}

/// How long one phase took.
#[derive(Debug)]
pub(crate) struct Phase {
    /// All requests together, in microseconds.
    pub(crate) total: u64,
    /// The shortest and the longest, in microseconds.
    pub(crate) range: Option<(u64, u64)>,
    /// How many took how long.
    pub(crate) buckets: [u64; BUCKETS],
}

impl Default for Phase {
    fn default() -> Self {
        Self { total: 0, range: None, buckets: [0; BUCKETS] }
    }
}

impl Phase {
    fn add(&mut self, micros: u64) {
        self.total += micros;
        self.range = Some(self.range.map_or((micros, micros), |(a, b)| (a.min(micros), b.max(micros))));
        self.buckets[bucket(micros)] += 1;
    }
}

/// Which bucket is for so long.
fn bucket(micros: u64) -> usize {
    let Some(octave) = (micros / 1_000).checked_ilog2() else { return 0 };
    if octave >= 16 {
        return BUCKETS - 1;
    }
    let quarter = micros * 4 / (1_000 << octave) - 4;
    octave as usize * 4 + quarter as usize
}

impl Tally {
    /// Of a process with so many request threads.
    pub(crate) fn new(threads: u32, now: Instant) -> Self {
        Self {
            threads: (0..threads).map(|_| Thread::default()).collect(),
            busy: Duration::ZERO,
            since: now,
            active: 0,
            interval: Interval::default(),
        }
    }

    fn pass(&mut self, now: Instant) {
        let time = now.saturating_duration_since(self.since) * self.active;
        self.busy += time;
        self.interval.busy += time;
        self.since = now;
    }

    fn thread(&mut self, number: u32) -> Option<&mut Thread> {
        self.threads.get_mut((number as usize).checked_sub(1)?)
    }

    /// Thread `number`, counted from 1, has got a request; so far it has used `cpu`.
    pub(crate) fn begin(&mut self, number: u32, cpu: Duration, now: Instant) {
        self.pass(now);
        if let Some(thread) = self.thread(number) {
            thread.present = Some(Present { begun: now, uncounted: now, cpu });
            self.active += 1;
        }
    }

    /// It has served it. One whose beginning was not told is none of these: it came before the recording.
    pub(crate) fn end(&mut self, number: u32, cpu: Duration, meter: Option<&Meter>, now: Instant) {
        self.pass(now);
        let Some(thread) = self.thread(number) else { return };
        let Some(present) = thread.present.take() else { return };
        thread.served += 1;
        thread.lap.completed += 1;
        thread.lap.busy += now.saturating_duration_since(present.uncounted);
        thread.lap.cpu += cpu.saturating_sub(present.cpu);
        thread.lap.longest = thread.lap.longest.max(now.saturating_duration_since(present.begun));
        self.active -= 1;
        self.interval.completed += 1;
        if let Some((meter, outcome)) = meter.and_then(|meter| Some((meter, meter.outcome.get()?))) {
            self.interval.add(meter, outcome);
        }
    }

    /// Thread time in requests, and how many each thread has served.
    pub(crate) fn totals(&mut self, now: Instant) -> (Duration, Vec<u64>) {
        self.pass(now);
        (self.busy, self.threads.iter().map(|thread| thread.served).collect())
    }

    /// Takes the interval out.
    pub(crate) fn drain(&mut self, now: Instant) -> (Interval, Vec<Lap>) {
        self.pass(now);
        let laps = self.threads.iter_mut().map(|thread| thread.drain(now)).collect();
        (std::mem::take(&mut self.interval), laps)
    }
}

impl Thread {
    fn drain(&mut self, now: Instant) -> Lap {
        let mut lap = std::mem::take(&mut self.lap);
        if let Some(present) = &mut self.present {
            lap.elapsed = now.saturating_duration_since(present.begun);
            lap.busy += now.saturating_duration_since(present.uncounted);
            present.uncounted = now;
        }
        lap
    }
}

impl Interval {
    fn add(&mut self, meter: &Meter, outcome: &Outcome) {
        let [request, queue, daemon, application] = outcome.starts;
        let stages = [
            queue.saturating_sub(request),
            daemon.saturating_sub(queue),
            application.saturating_sub(daemon),
            outcome.finish.saturating_sub(application),
        ];
        let across = [stages.iter().sum(), meter.input.micros(), meter.output.micros(), meter.gil.micros()];
        let durations = stages.into_iter().chain(across);
        self.phases.iter_mut().zip(durations).for_each(|(phase, micros)| phase.add(micros));
        self.samples += 1;
        self.gil_waits += meter.gil.times();
        let add = |(bytes, times): &mut (u64, u64), flow: &Flow| {
            *bytes += flow.bytes();
            *times += flow.times();
        };
        add(&mut self.input, &meter.input);
        add(&mut self.output, &meter.output);
        let class = usize::from(outcome.status / 100);
        if let Some(count) = class.checked_sub(1).and_then(|at| self.statuses.get_mut(at)) {
            *count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn buckets_are_quarters_of_octaves() {
        let at = |milliseconds: f64| bucket((milliseconds * 1e3) as u64);
        assert_eq!([at(0.0), at(0.999), at(1.0), at(1.24), at(1.25), at(1.999)], [0, 0, 0, 0, 1, 3]);
        assert_eq!([at(2.0), at(2.499), at(2.5), at(4.0), at(1000.0)], [4, 4, 5, 8, 39]);
        assert_eq!([at(65_535.9), at(65_536.0), bucket(u64::MAX)], [63, 64, 64]);
    }

    #[test]
    fn a_long_request_is_busy_in_every_interval_that_it_spans() {
        let start = Instant::now();
        let mut tally = Tally::new(2, start);
        tally.begin(2, Duration::ZERO, start);
        let (interval, laps) = tally.drain(start + SECOND);
        assert_eq!((interval.completed, interval.busy, laps[0]), (0, SECOND, Lap::default()));
        assert_eq!(laps[1], Lap { busy: SECOND, elapsed: SECOND, ..Lap::default() });
        tally.end(2, SECOND / 2, None, start + 3 * SECOND);
        let (interval, laps) = tally.drain(start + 4 * SECOND);
        assert_eq!((interval.completed, interval.samples, interval.busy), (1, 0, 2 * SECOND));
        let lap = Lap {
            completed: 1,
            busy: 2 * SECOND,
            cpu: SECOND / 2,
            elapsed: Duration::ZERO,
            longest: 3 * SECOND,
        };
        assert_eq!(laps[1], lap);
        assert_eq!(tally.totals(start + 5 * SECOND), (3 * SECOND, vec![0, 1]));
    }

    #[test]
    fn a_sample_is_split_into_its_phases() {
        let start = Instant::now();
        let mut tally = Tally::new(1, start);
        for (status, last) in [(500, 1_500), (204, 9_000)] {
            let meter = Meter::default();
            meter.input.add(10, Duration::from_micros(7));
            meter.gil.add(0, Duration::from_micros(3));
            let outcome = Outcome { starts: [100, 300, 600, 1_000], finish: last, status };
            meter.outcome.set(outcome).unwrap();
            tally.begin(1, Duration::ZERO, start);
            tally.end(1, Duration::ZERO, Some(&meter), start);
        }
        let (interval, _) = tally.drain(start);
        let totals: Vec<u64> = interval.phases.iter().map(|phase| phase.total).collect();
        assert_eq!(totals, [400, 600, 800, 8_500, 10_300, 14, 0, 6]);
        assert_eq!(interval.phases[3].range, Some((500, 8_000)));
        assert_eq!((interval.phases[3].buckets[0], interval.phases[3].buckets[12]), (1, 1));
        assert_eq!((interval.samples, interval.gil_waits, interval.input), (2, 2, (20, 2)));
        assert_eq!(interval.statuses, [0, 1, 0, 0, 1]);
        assert_eq!(tally.drain(start).0.samples, 0);
    }

    #[test]
    fn a_request_from_before_the_recording_is_not_counted() {
        let start = Instant::now();
        let mut tally = Tally::new(1, start);
        tally.end(1, SECOND, None, start);
        let (interval, laps) = tally.drain(start);
        assert_eq!((interval.completed, laps[0]), (0, Lap::default()));
    }
}
