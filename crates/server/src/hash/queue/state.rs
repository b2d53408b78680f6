//! Who is inside, and whose turn it is.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;

use tokio::sync::oneshot;

use super::super::scheme::{Digest, Work};
use super::EXPRESS_WORKER;

/// Who is inside.
pub(super) struct State {
    pub(super) open: bool,
    pub(super) lines: HashMap<IpAddr, Line>,
    /// The networks with a waiting job, in the order in which they get their next turn.
    pub(super) turns: VecDeque<IpAddr>,
    pub(super) places: usize,
    /// Lanes in use, one number for each worker.
    pub(super) busy_lanes: Box<[usize]>,
    pub(super) big_job_runs: bool,
    pub(super) last_job: u64,
    pub(super) hashes: u64,
    pub(super) rounds: u64,
}

/// What one client network has inside.
#[derive(Default)]
pub(super) struct Line {
    pub(super) places: usize,
    /// Work of all its places, in rounds of bcrypt, in full until the place is given back.
    pub(super) rounds: u64,
    pub(super) running: usize,
    /// By number of the job: the smallest is the oldest.
    pub(super) waiting: BTreeMap<u64, Waiting>,
}

pub(super) struct Waiting {
    pub(super) work: Work,
    pub(super) rounds: u64,
    pub(super) reply: oneshot::Sender<Digest>,
}

/// A job taken off its line.
pub(super) struct Picked {
    pub(super) network: IpAddr,
    pub(super) job: Waiting,
    pub(super) lanes_taken: usize,
}

impl State {
    pub(super) fn new(workers: usize) -> State {
        State {
            open: true,
            lines: HashMap::new(),
            turns: VecDeque::new(),
            places: 0,
            busy_lanes: vec![0; workers].into(),
            big_job_runs: false,
            last_job: 0,
            hashes: 0,
            rounds: 0,
        }
    }

    /// Takes the next job in turn off its line, unless another worker has fewer lanes in use: a job runs faster
    /// where it has the core to itself. A worker's last lane is kept for networks that have nothing running, so
    /// that the first job of a quiet network need not wait until a flood gives a lane back. Such a job is the express
    /// worker's while that has just its kept lane free, or no more to do than the others.
    pub(super) fn pick(&mut self, worker: usize, lanes: usize) -> Option<Picked> {
        let busy = self.busy_lanes[worker];
        if busy >= lanes {
            return None;
        }
        let is_last_lane = busy + 1 == lanes;
        let is_least_busy = !self.busy_lanes.iter().any(|&other| other < busy);
        let busy_express = self.busy_lanes[EXPRESS_WORKER];
        let takes_newcomers = if busy_express + 1 == lanes {
            worker == EXPRESS_WORKER
        } else {
            is_least_busy && (worker == EXPRESS_WORKER || busy < busy_express)
        };
        let turn = self.turns.iter().position(|network| {
            self.lines.get(network).is_some_and(|line| {
                let is_newcomer = line.running == 0;
                let is_big = |job: &Waiting| job.work.is_big();
                let must_wait =
                    self.big_job_runs && line.waiting.values().next().is_some_and(is_big);
                let suits_worker = if is_newcomer {
                    takes_newcomers
                } else {
                    is_least_busy && !is_last_lane
                };
                suits_worker && !must_wait
            })
        })?;
        let network = self.turns.remove(turn)?;
        let line = self.lines.get_mut(&network)?;
        let (_, job) = line.waiting.pop_first()?;
        line.running += 1;
        if !line.waiting.is_empty() {
            self.turns.push_back(network);
        }
        self.big_job_runs |= job.work.is_big();
        // argon2id stops all lanes of its worker, so that nothing else should be given to it.
        let lanes_taken = match &job.work {
            Work::Argon2id(_) => lanes - busy,
            _ => 1,
        };
        self.busy_lanes[worker] += lanes_taken;
        Some(Picked {
            network,
            job,
            lanes_taken,
        })
    }

    /// The networks whose only job is running, while the work of others waits, but not of more than `few`.
    pub(super) fn networks_ahead(&self, few: usize) -> Vec<IpAddr> {
        if !(1..=few).contains(&self.turns.len()) {
            return Vec::new();
        }
        let has_one_job = |line: &Line| line.running == 1 && line.waiting.is_empty();
        self.lines
            .iter()
            .filter(|(_, line)| has_one_job(line))
            .map(|(network, _)| *network)
            .collect()
    }

    pub(super) fn forget_if_gone(&mut self, network: IpAddr) {
        if let Some(line) = self.lines.get(&network)
            && line.places == 0
            && line.running == 0
        {
            self.lines.remove(&network);
        }
    }
}
