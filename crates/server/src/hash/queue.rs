//! The door and the queue behind it: who is let in, and whose job a worker takes next.

mod state;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use state::{Line, State, Waiting};

use super::scheme::{Digest, Work};
use super::worker::Capacity;
use super::{Busy, HasherSettings, Load};

/// Networks with waiting work up to which a network with one job goes ahead.
const FEW_NETWORKS: usize = 2;

/// The worker that networks with nothing running go to: it yields less than the others.
pub(super) const EXPRESS_WORKER: usize = 0;

/// Rounds of bcrypt per second and worker that predictions start from, until the worker has measured its own pace:
/// less than half of what a processor of 2024 does.
const CAUTIOUS_PACE: u64 = 30_000;

/// A client network may hold this many times the places that are left over. One network alone gets three quarters
/// of all places, several flooding ones get less each, and there is always a place for one that is not there yet.
const PLACES_PER_FREE_PLACE: usize = 3;

/// An idle worker wakes up this often to give back what it no longer needs.
const IDLE_WAIT: Duration = Duration::from_secs(5);

/// What tickets and workers share.
pub(super) struct Queue {
    pub(super) settings: HasherSettings,
    /// Measured by the first worker that runs, so that the start waits for nothing.
    pub(super) capacity: OnceLock<Capacity>,
    /// Rounds of bcrypt per second with full lanes, one for each worker.
    pub(super) paces: Box<[AtomicU64]>,
    state: Mutex<State>,
    /// Wakes the express worker; `work_came` wakes the others.
    express_work_came: Condvar,
    work_came: Condvar,
}

impl Queue {
    pub(super) fn new(settings: HasherSettings, workers: usize) -> Queue {
        Queue {
            settings,
            capacity: OnceLock::new(),
            paces: (0..workers)
                .map(|_| AtomicU64::new(CAUTIOUS_PACE))
                .collect(),
            state: Mutex::new(State::new(workers)),
            express_work_came: Condvar::new(),
            work_came: Condvar::new(),
        }
    }

    /// A place for work of so many rounds, if it will be done in time.
    pub(super) fn enter(self: &Arc<Queue>, network: IpAddr, rounds: u64) -> Result<Place, Busy> {
        let mut state = self.lock();
        let free_places = self.settings.max_waiting.saturating_sub(state.places);
        let own_places = state.lines.get(&network).map_or(0, |line| line.places);
        let wait = self.predicted_wait(&state, network, rounds);
        if own_places >= PLACES_PER_FREE_PLACE * free_places || wait > self.settings.max_wait {
            return Err(Busy::after(wait));
        }
        state.places += 1;
        let line = state.lines.entry(network).or_default();
        line.places += 1;
        line.rounds += rounds;
        drop(state);
        Ok(Place {
            queue: Arc::clone(self),
            network,
            rounds,
            rounds_to_come: rounds,
            jobs: Vec::new(),
        })
    }

    /// How long until work of so many rounds, of this network, would be done. Networks take turns: until all work
    /// of one is done, each of the others has got as much, or all that it wants.
    fn predicted_wait(&self, state: &State, network: IpAddr, rounds: u64) -> Duration {
        let own_rounds = rounds + state.lines.get(&network).map_or(0, |line| line.rounds);
        let others_rounds: u64 = state
            .lines
            .iter()
            .filter(|(other, _)| **other != network)
            .map(|(_, line)| line.rounds.min(own_rounds))
            .sum();
        let rounds_per_second: u64 = self
            .paces
            .iter()
            .map(|pace| pace.load(Ordering::Relaxed))
            .sum();
        Duration::from_millis((own_rounds + others_rounds) * 1000 / rounds_per_second.max(1))
    }

    pub(super) fn load(&self) -> Load {
        let state = self.lock();
        let sum = |count: fn(&Line) -> usize| state.lines.values().map(count).sum();
        Load {
            places: state.places,
            waiting: sum(|line| line.waiting.len()),
            running: sum(|line| line.running),
            hashes: state.hashes,
            rounds: state.rounds,
        }
    }

    /// Ends the work: what waits is dropped, and workers stop when their lanes are done.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.open = false;
        state.turns.clear();
        for line in state.lines.values_mut() {
            line.waiting.clear();
        }
        drop(state);
        self.express_work_came.notify_all();
        self.work_came.notify_all();
    }

    /// The next job for a worker with a free lane. An `idle` worker waits for one, though not for ever.
    pub(super) fn next(self: &Arc<Queue>, worker: usize, lanes: usize, idle: bool) -> Next {
        let mut state = self.lock();
        while state.open {
            if let Some(picked) = state.pick(worker, lanes) {
                // Another worker may have left the rest to this one, and sleep again.
                if !state.turns.is_empty() {
                    self.work_came.notify_one();
                }
                let job = picked.job;
                let running = Running {
                    queue: Arc::clone(self),
                    worker,
                    network: picked.network,
                    lanes_taken: picked.lanes_taken,
                    rounds: job.rounds,
                    is_big: job.work.is_big(),
                    reply: Some(job.reply),
                };
                return Next::Job(job.work, running);
            }
            if !idle {
                return Next::Nothing;
            }
            let work_came = if worker == EXPRESS_WORKER {
                &self.express_work_came
            } else {
                &self.work_came
            };
            let (woken, waited) = work_came
                .wait_timeout(state, IDLE_WAIT)
                .unwrap_or_else(PoisonError::into_inner);
            state = woken;
            if waited.timed_out() {
                return Next::Nothing;
            }
        }
        Next::Closed
    }

    /// The networks whose job goes before the rest, whichever worker has it: it is their only one. Nobody's while nothing
    /// waits, or the work of more than a few networks: a flood from everywhere has such jobs only.
    pub(super) fn networks_ahead(&self) -> Vec<IpAddr> {
        self.lock().networks_ahead(FEW_NETWORKS)
    }

    /// The express worker and one other: each may leave the work to the other.
    fn wake_workers(&self) {
        self.express_work_came.notify_one();
        self.work_came.notify_one();
    }

    /// A panic leaves counters that are right or off by one; better than no sign-in at all.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a worker gets that asks for work.
pub(super) enum Next {
    /// The work, and what its digest is handed to.
    Job(Work, Running),
    /// Nothing that this worker should do now.
    Nothing,
    /// Nothing ever again.
    Closed,
}

/// A place inside, for one sign-in or sign-up; dropping it takes its waiting jobs back.
pub(super) struct Place {
    pub(super) queue: Arc<Queue>,
    network: IpAddr,
    /// Work counted for this place, in rounds.
    rounds: u64,
    /// Of these, what no job has been submitted for yet.
    rounds_to_come: u64,
    jobs: Vec<u64>,
}

impl Place {
    /// Hands work to the workers. The receiver fails if they stop, or the work panics.
    pub(super) fn submit(&mut self, work: Work, rounds: u64) -> oneshot::Receiver<Digest> {
        let (reply, receiver) = oneshot::channel();
        let mut state = self.queue.lock();
        if !state.open {
            return receiver;
        }
        let unforeseen_rounds = rounds.saturating_sub(self.rounds_to_come);
        self.rounds_to_come = self.rounds_to_come.saturating_sub(rounds);
        self.rounds += unforeseen_rounds;
        state.last_job += 1;
        let number = state.last_job;
        self.jobs.push(number);
        let line = state.lines.entry(self.network).or_default();
        line.rounds += unforeseen_rounds;
        line.waiting.insert(
            number,
            Waiting {
                work,
                rounds,
                reply,
            },
        );
        if line.waiting.len() == 1 {
            state.turns.push_back(self.network);
        }
        drop(state);
        self.queue.wake_workers();
        receiver
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut guard = self.queue.lock();
        let state = &mut *guard;
        let Some(line) = state.lines.get_mut(&self.network) else {
            return;
        };
        let was_waiting = !line.waiting.is_empty();
        for number in &self.jobs {
            line.waiting.remove(number);
        }
        line.places -= 1;
        line.rounds -= self.rounds;
        if was_waiting && line.waiting.is_empty() {
            state.turns.retain(|network| *network != self.network);
        }
        state.places -= 1;
        state.forget_if_gone(self.network);
    }
}

/// A job in a worker's hands; dropping it gives its lane back.
pub(super) struct Running {
    queue: Arc<Queue>,
    worker: usize,
    network: IpAddr,
    lanes_taken: usize,
    rounds: u64,
    is_big: bool,
    reply: Option<oneshot::Sender<Digest>>,
}

impl Running {
    /// Whether it is the job of one of these.
    pub(super) fn is_of(&self, networks: &[IpAddr]) -> bool {
        networks.contains(&self.network)
    }

    /// How much work it is, in rounds of bcrypt.
    pub(super) fn rounds(&self) -> u64 {
        self.rounds
    }

    /// Whether somebody still waits for the digest.
    pub(super) fn is_wanted(&self) -> bool {
        self.reply.as_ref().is_some_and(|reply| !reply.is_closed())
    }

    /// Gives the lane back, then the digest to whoever waits for it.
    pub(super) fn finish(mut self, digest: Digest) {
        let mut state = self.queue.lock();
        state.hashes += 1;
        state.rounds += self.rounds;
        drop(state);
        let reply = self.reply.take();
        drop(self);
        if let Some(reply) = reply {
            // Nobody is there to receive it: the client has gone, and nothing is lost.
            let _ = reply.send(digest);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.busy_lanes[self.worker] -= self.lanes_taken;
        if let Some(line) = state.lines.get_mut(&self.network) {
            line.running -= 1;
        }
        state.forget_if_gone(self.network);
        if self.is_big {
            state.big_job_runs = false;
            drop(state);
            self.queue.wake_workers();
        }
    }
}

#[cfg(test)]
mod tests;
