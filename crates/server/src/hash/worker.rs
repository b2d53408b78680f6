//! The workers: one thread per core, behind everything else that wants it, hashing several passwords in lock step.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bcrypt_lanes::{Engine, Job, MAX_LANES, calibrate};
use rustix::time::{ClockId, clock_gettime};

use super::queue::{EXPRESS_WORKER, Next, Queue, Running};
use super::scheme::{Digest, Work, WorkerMemory};

/// By how much workers yield to everything else: 7 weighs 215 to the 1,024 of niceness 0 (sched(7)). The system applies
/// it among what it counts as one group, often this process alone (cgroups(7), autogroup in sched(7)), so the workers
/// rest too, which helps everybody.
const NICENESS: i32 = 7;

/// The express worker yields less, for who waits there has nothing else running: 1 weighs 820.
const EXPRESS_NICENESS: i32 = 1;

/// Rounds between two looks at the queue, about one millisecond: how long a job waits at most for a free lane.
const ROUNDS_PER_CHUNK: u32 = 16;

/// How long a worker rests while another one has a job that goes ahead, in chunks for each chunk that it computes.
const ROOM_FOR_OTHERS: u32 = 16;

/// Rests that are worth a switch of threads, and that a machine which stood still does not prolong.
const RESTS: RangeInclusive<Duration> = Duration::from_micros(500)..=Duration::from_millis(100);

/// How many measurements the start takes of its pace; the best counts, the others were interrupted.
const START_MEASUREMENTS: u32 = 3;

/// How long an old measurement of the pace has weight.
const PACE_MEMORY_SECONDS: f64 = 1.0;

/// How much one measurement counts at most: one alone may be of a machine that stood still.
const GREATEST_WEIGHT: f64 = 0.2;

/// What one worker can do.
pub(super) struct Capacity {
    /// Lanes of an engine, at least 2. The last is kept for newcomers, and is one of those that suit the processor:
    /// one more would slow every job down, the newcomer's included.
    lanes: usize,
    /// Rounds of bcrypt per second when all lanes but the newcomers' are in use.
    pace: f64,
}

impl Capacity {
    /// Takes about 20 milliseconds unless the number of lanes is given.
    fn measure(lanes: Option<usize>) -> Capacity {
        let lanes = lanes.unwrap_or_else(calibrate).clamp(2, MAX_LANES);
        let mut engine = Engine::new(lanes - 1);
        while let Ok(endless) = Job::new(31, [0; 16], b"")
            && engine.admit(endless, ()).is_ok()
        {}
        let pace = (0..START_MEASUREMENTS)
            .map(|_| {
                let start = Instant::now();
                engine.advance(ROUNDS_PER_CHUNK, |(), _| {});
                per_second(chunk_rounds(lanes - 1), start.elapsed())
            })
            .fold(0.0, f64::max);
        Capacity { lanes, pace }
    }
}

/// Works until the queue is closed.
pub(super) fn run(queue: &Arc<Queue>, worker: usize) {
    lower_priority(worker);
    let capacity = queue
        .capacity
        .get_or_init(|| Capacity::measure(queue.settings.lanes));
    let work = || Worker::new(queue, worker, capacity).work();
    while panic::catch_unwind(AssertUnwindSafe(work)).is_err() {
        tracing::error!(worker, "a hashing job panicked; its worker starts anew");
    }
}

/// On Linux niceness belongs to the thread; elsewhere it would slow the whole process down.
fn lower_priority(worker: usize) {
    let niceness = if worker == EXPRESS_WORKER {
        EXPRESS_NICENESS
    } else {
        NICENESS
    };
    if cfg!(target_os = "linux")
        && let Err(error) = rustix::process::nice(niceness)
    {
        tracing::warn!(%error, "password hashing runs at normal priority");
    }
}

struct Worker<'queue> {
    queue: &'queue Arc<Queue>,
    number: usize,
    capacity: &'queue Capacity,
    engine: Engine<Running>,
    memory: WorkerMemory,
    pace: Pace<'queue>,
}

impl<'queue> Worker<'queue> {
    fn new(queue: &'queue Arc<Queue>, number: usize, capacity: &'queue Capacity) -> Self {
        Worker {
            queue,
            number,
            capacity,
            engine: Engine::new(capacity.lanes),
            memory: WorkerMemory::default(),
            pace: Pace::new(&queue.paces[number], capacity.pace),
        }
    }

    fn work(&mut self) {
        while let Some(chunks) = self.take_jobs() {
            for _ in 0..chunks {
                self.advance_lanes();
            }
        }
    }

    /// Fills the lanes, or computes one argon2id. Answers how many chunks of bcrypt are due then: one, and as many
    /// as make up for the time that the lanes stood still. `None` when there is nothing to do ever again.
    fn take_jobs(&mut self) -> Option<u64> {
        while self.engine.active() < self.engine.width() {
            let idle = self.engine.active() == 0;
            if idle {
                self.pace.rest();
            }
            match self.queue.next(self.number, self.engine.width(), idle) {
                Next::Job(Work::Bcrypt(job), running) => {
                    // There is a free lane, so nothing comes back.
                    let _ = self.engine.admit(job, running);
                }
                Next::Job(Work::Argon2id(work), running) => {
                    let (rounds, start) = (running.rounds(), Instant::now());
                    match work.compute(&mut self.memory) {
                        Ok(digest) => running.finish(digest),
                        Err(error) => tracing::error!(%error, "no argon2id hash"),
                    }
                    self.pace.record(rounds, start.elapsed());
                    return Some(1 + rounds / chunk_rounds(self.capacity.lanes));
                }
                #[cfg(test)]
                Next::Job(Work::Panic, _running) => panic!("asked for by a test"),
                Next::Nothing if idle => self.memory = WorkerMemory::default(),
                Next::Nothing => break,
                Next::Closed => return None,
            }
        }
        Some(1)
    }

    fn turn(&self, ahead: &[IpAddr]) -> Turn {
        let tags = self.engine.tags();
        match tags.filter(|running| running.is_of(ahead)).count() {
            0 => Turn::OfAll {
                makes_room: !ahead.is_empty(),
            },
            lanes => Turn::OfThoseAhead { lanes },
        }
    }

    fn advance_lanes(&mut self) {
        self.engine.retain(Running::is_wanted);
        let active = self.engine.active();
        let ahead = self.queue.networks_ahead();
        let finish = |running: Running, digest| running.finish(Digest::Bcrypt(digest));
        let (start, computed_before) = (Instant::now(), computing_time());
        let lanes = match self.turn(&ahead) {
            Turn::OfAll { makes_room } => {
                self.engine.advance(ROUNDS_PER_CHUNK, finish);
                let computed = computing_time().saturating_sub(computed_before);
                if let Some(rest) = rest(start.elapsed(), computed, makes_room) {
                    thread::sleep(rest);
                }
                active
            }
            Turn::OfThoseAhead { lanes } => {
                // One other lane comes along, which costs nothing; the rest of a flood stands still meanwhile.
                let mut others = 1;
                let chosen =
                    |running: &Running| running.is_of(&ahead) || std::mem::take(&mut others) > 0;
                self.engine.advance_chosen(ROUNDS_PER_CHUNK, chosen, finish);
                active.min(lanes + 1)
            }
        };
        if active + 1 >= self.capacity.lanes {
            self.pace.record(chunk_rounds(lanes), start.elapsed());
        }
    }
}

/// How long a worker rests after a chunk that took it so long, and of which it computed that long: as long as it was kept
/// off its core, because what keeps it off is wanted sooner than any hash. Niceness alone lets others wait for tens of
/// milliseconds at a time; here they get their turn at every chunk, and on a core that nobody else wants no time is lost.
fn rest(took: Duration, computed: Duration, makes_room: bool) -> Option<Duration> {
    let rest = if makes_room {
        took * ROOM_FOR_OTHERS
    } else {
        took.saturating_sub(computed)
    };
    (rest >= *RESTS.start()).then(|| rest.min(*RESTS.end()))
}

/// How long this thread has been on a core.
fn computing_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Whose turn the next chunk is.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    /// All jobs of this worker run. It makes room when those that go ahead are another's, with which it shares the cores.
    OfAll { makes_room: bool },
    /// So many jobs of this worker go ahead.
    OfThoseAhead { lanes: usize },
}

/// How fast a worker computes; what it publishes makes the predictions.
struct Pace<'queue> {
    published: &'queue AtomicU64,
    current: f64,
    best: f64,
}

impl<'queue> Pace<'queue> {
    fn new(published: &'queue AtomicU64, rounds_per_second: f64) -> Self {
        let mut pace = Pace {
            published,
            current: rounds_per_second,
            best: rounds_per_second,
        };
        pace.rest();
        pace
    }

    /// Counts a measurement, the more the longer it took, up to a point.
    fn record(&mut self, rounds: u64, elapsed: Duration) {
        let weight = (elapsed.as_secs_f64() / PACE_MEMORY_SECONDS).min(GREATEST_WEIGHT);
        self.current += weight * (per_second(rounds, elapsed) - self.current);
        self.best = self.best.max(self.current);
        self.publish();
    }

    /// Forgets what slowed the worker down, such as a flood that made room: it has nothing to do, so that is over.
    fn rest(&mut self) {
        self.current = self.best;
        self.publish();
    }

    fn publish(&self) {
        self.published.store(self.current as u64, Ordering::Relaxed);
    }
}

fn chunk_rounds(lanes: usize) -> u64 {
    lanes as u64 * u64::from(ROUNDS_PER_CHUNK)
}

fn per_second(rounds: u64, elapsed: Duration) -> f64 {
    rounds as f64 / elapsed.max(Duration::from_nanos(1)).as_secs_f64()
}

#[cfg(test)]
mod tests;
