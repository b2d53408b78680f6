//! Continuous batching: jobs of any cost join and leave a lock step of up to eight lanes.

use std::fmt;

use crate::job::Job;
use crate::lane::{Lane, run};
use crate::{Digest, MAX_LANES};

/// Runs up to `width` jobs in lock step on the calling thread, each at its own round.
///
/// `T` is what the caller wants to get back with the digest: a reply channel, an index. Memory is allocated by
/// [`Engine::new`] alone: about 4.3 KiB a lane. Wipes its lanes when dropped.
pub struct Engine<T> {
    /// The lanes in use come first, the free ones are wiped.
    lanes: Box<[Lane]>,
    /// One for each lane in use, in the same order.
    tags: Vec<T>,
}

impl<T> Engine<T> {
    /// An engine with `width` free lanes, from 1 to [`MAX_LANES`]; a `width` outside is taken as the nearest.
    /// See [`calibrate`](crate::calibrate) for the width that suits this processor.
    pub fn new(width: usize) -> Engine<T> {
        let width = width.clamp(1, MAX_LANES);
        Engine {
            lanes: (0..width).map(|_| Lane::free()).collect(),
            tags: Vec::with_capacity(width),
        }
    }

    /// Lanes in use.
    pub fn active(&self) -> usize {
        self.tags.len()
    }

    /// The tags of the lanes in use, in no particular order.
    pub fn tags(&self) -> impl Iterator<Item = &T> {
        self.tags.iter()
    }

    /// Lanes in use or free.
    pub fn width(&self) -> usize {
        self.lanes.len()
    }

    /// Gives the job a free lane. Takes as long as half a round, some 30 microseconds.
    ///
    /// # Errors
    /// Hands job and tag back when no lane is free.
    pub fn admit(&mut self, job: Job, tag: T) -> Result<(), (Job, T)> {
        let Some(lane) = self.lanes.get_mut(self.tags.len()) else {
            return Err((job, tag));
        };
        lane.start(&job);
        self.tags.push(tag);
        Ok(())
    }

    /// Runs up to `rounds` rounds on every lane in use, in lock step, and calls `done` for each job that finished;
    /// its lane is free from then on. A job of cost c takes 2^c rounds.
    ///
    /// Returns early only when no lane is in use any more. Waiting jobs can join between two calls: 32 rounds of six
    /// lanes take 2 to 3 milliseconds, and calling that often costs nothing measurable.
    pub fn advance(&mut self, rounds: u32, done: impl FnMut(T, Digest)) {
        self.advance_first(self.active(), rounds, done);
    }

    /// As [`advance`](Engine::advance), for those lanes alone whose tag is `chosen`; the others stand still. A few lanes
    /// are faster than many: two take hardly longer than one, six a third longer.
    pub fn advance_chosen(
        &mut self,
        rounds: u32,
        mut chosen: impl FnMut(&T) -> bool,
        done: impl FnMut(T, Digest),
    ) {
        let mut count = 0;
        for position in 0..self.active() {
            if chosen(&self.tags[position]) {
                self.swap(position, count);
                count += 1;
            }
        }
        self.advance_first(count, rounds, done);
    }

    fn advance_first(&mut self, mut count: usize, rounds: u32, mut done: impl FnMut(T, Digest)) {
        let mut rounds_left = rounds;
        while rounds_left > 0 && count > 0 {
            let chunk = self.lanes[..count]
                .iter()
                .map(Lane::rounds_left)
                .fold(rounds_left, u32::min);
            run_all(&mut self.lanes[..count], chunk);
            rounds_left -= chunk;
            for position in (0..count).rev() {
                if self.lanes[position].rounds_left() == 0 {
                    let digest = self.lanes[position].digest();
                    // Out of the first ones before its lane is freed: the last lane in use takes its place.
                    count -= 1;
                    self.swap(position, count);
                    done(self.release(count), digest);
                }
            }
        }
    }

    /// Drops the jobs for which `keep` is false, such as those nobody waits for any more, and wipes their lanes.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        for position in (0..self.active()).rev() {
            if !keep(&self.tags[position]) {
                self.release(position);
            }
        }
    }

    fn swap(&mut self, position: usize, other: usize) {
        if position != other {
            self.lanes.swap(position, other);
            self.tags.swap(position, other);
        }
    }

    /// Frees a lane; the last lane in use takes its place.
    fn release(&mut self, position: usize) -> T {
        let tag = self.tags.swap_remove(position);
        let last = self.tags.len();
        self.lanes.swap(position, last);
        self.lanes[last].wipe();
        tag
    }
}

impl<T> fmt::Debug for Engine<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Engine")
            .field("active", &self.active())
            .field("width", &self.width())
            .finish_non_exhaustive()
    }
}

/// Runs the kernel made for this many lanes.
fn run_all(lanes: &mut [Lane], rounds: u32) {
    fn exactly<const N: usize>(lanes: &mut [Lane], rounds: u32) {
        let lanes = lanes
            .first_chunk_mut::<N>()
            .expect("called for the length the slice has");
        run(lanes, rounds);
    }
    let kernels: [fn(&mut [Lane], u32); MAX_LANES] = [
        exactly::<1>,
        exactly::<2>,
        exactly::<3>,
        exactly::<4>,
        exactly::<5>,
        exactly::<6>,
        exactly::<7>,
        exactly::<8>,
    ];
    if let Some(position) = lanes.len().checked_sub(1) {
        kernels[position](lanes, rounds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(cost: u32) -> Job {
        Job::new(cost, [7; 16], b"password").unwrap()
    }

    #[test]
    fn width_is_taken_as_the_nearest_possible() {
        assert_eq!(Engine::<()>::new(0).width(), 1);
        assert_eq!(Engine::<()>::new(MAX_LANES).width(), MAX_LANES);
        assert_eq!(Engine::<()>::new(usize::MAX).width(), MAX_LANES);
    }

    #[test]
    fn hands_the_job_back_when_full() {
        let mut engine = Engine::new(1);
        engine.admit(job(4), 'a').unwrap();
        let (_, tag) = engine.admit(job(4), 'b').unwrap_err();
        assert_eq!((tag, engine.active()), ('b', 1));
    }

    #[test]
    fn a_lane_is_wiped_when_its_job_leaves() {
        let mut engine = Engine::new(4);
        for (tag, cost) in [4, 5, 6].into_iter().enumerate() {
            engine.admit(job(cost), tag).unwrap();
        }
        engine.advance(16, |tag, _| assert_eq!(tag, 0));
        engine.retain(|&tag| tag != 1);
        assert_eq!(engine.active(), 1);
        let wiped: Vec<bool> = engine.lanes.iter().map(Lane::is_wiped).collect();
        assert_eq!(wiped, [false, true, true, true]);
    }

    #[test]
    fn a_panic_in_done_leaves_the_other_jobs_running() {
        let mut engine = Engine::new(2);
        engine.admit(job(4), ()).unwrap();
        engine.admit(job(5), ()).unwrap();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            engine.advance(16, |(), _| panic!("the caller's own"));
        }));
        assert!(panicked.is_err());
        let mut digests = Vec::new();
        engine.advance(16, |(), digest| digests.push(digest));
        let expected = crate::hash(5, [7; 16], b"password").unwrap();
        assert_eq!(digests, [expected.digest().clone()]);
    }

    #[test]
    fn debug_shows_no_secret() {
        let mut engine = Engine::new(2);
        engine.admit(job(4), ()).unwrap();
        assert_eq!(format!("{engine:?}"), "Engine { active: 1, width: 2, .. }");
    }

    #[test]
    fn only_the_chosen_lanes_advance() {
        let mut engine = Engine::new(4);
        for (tag, cost) in [(0, 4), (1, 5), (2, 4), (3, 6)] {
            let _ = engine.admit(job(cost), tag);
        }
        assert!(engine.tags().eq(&[0, 1, 2, 3]));
        let expected = |cost| crate::hash(cost, [7; 16], b"password").unwrap();
        let mut finished = Vec::new();
        engine.advance_chosen(
            32,
            |tag| tag % 2 == 1,
            |tag, digest| finished.push((tag, digest)),
        );
        assert_eq!(finished, [(1, expected(5).digest().clone())]);
        engine.advance(16, |tag, digest| finished.push((tag, digest)));
        finished[1..].sort_by_key(|(tag, _)| *tag);
        assert_eq!(
            finished[1..],
            [
                (0, expected(4).digest().clone()),
                (2, expected(4).digest().clone())
            ]
        );
        engine.advance_chosen(16, |_| true, |tag, digest| finished.push((tag, digest)));
        assert_eq!(finished[3], (3, expected(6).digest().clone()));
        assert_eq!(engine.active(), 0);
    }
}
