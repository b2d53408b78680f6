//! Which width suits this processor.

use std::time::{Duration, Instant};

use crate::{Engine, Job, MAX_LANES};

/// What [`calibrate`] takes on an idle core: enough for ten measurements of each width on a processor of 2023.
const BUDGET: Duration = Duration::from_millis(12);

/// Measurements of each width, however long they take: fewer would be decided by what else runs at that moment.
const PASSES: u32 = 8;

/// What it takes at most, on a core that is busy or very slow.
const PATIENCE: Duration = Duration::from_millis(300);

/// Rounds in one measurement: short, so that some measurement escapes the scheduler.
const ROUNDS: u32 = 2;

/// Measures which width computes the most hashes per second on this processor, in about 13 milliseconds, and up to 300
/// on a core that is busy.
///
/// Of widths within 2 % of the best the narrowest wins, whose jobs finish sooner. The width belongs to the
/// processor, not to the moment: measure once, at the start, before other threads have work to do.
pub fn calibrate() -> usize {
    let start = Instant::now();
    let mut engines: [Engine<()>; MAX_LANES] = std::array::from_fn(|n| full(n + 1));
    let mut shortest = [Duration::MAX; MAX_LANES];
    for pass in 1_u32.. {
        for (engine, shortest) in engines.iter_mut().zip(&mut shortest) {
            let start = Instant::now();
            engine.advance(ROUNDS, |(), _| {});
            *shortest = start.elapsed().min(*shortest);
        }
        let elapsed = start.elapsed();
        if (pass >= PASSES && elapsed > BUDGET) || elapsed > PATIENCE {
            break;
        }
    }
    narrowest_of_the_best(&shortest)
}

/// An engine whose lanes are all in use for longer than the measurement takes.
fn full(width: usize) -> Engine<()> {
    let mut engine = Engine::new(width);
    while let Ok(job) = Job::new(31, [0; 16], b"")
        && engine.admit(job, ()).is_ok()
    {}
    engine
}

/// `shortest[n]` is the time n + 1 lanes take for the same number of rounds.
fn narrowest_of_the_best(shortest: &[Duration; MAX_LANES]) -> usize {
    let per_lane = || (1_u32..).zip(shortest).map(|(lanes, &time)| time / lanes);
    let best = per_lane().min().unwrap_or_default();
    1 + per_lane()
        .position(|time| time <= best + best / 50)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wider_engine_must_be_worth_it() {
        let microseconds = |times: [u64; MAX_LANES]| times.map(Duration::from_micros);
        // The best is 400 / 4 = 100 a lane; 101 is within 2 %, 103 is not.
        assert_eq!(
            narrowest_of_the_best(&microseconds([200, 206, 303, 400, 501, 601, 701, 801])),
            3
        );
        assert_eq!(
            narrowest_of_the_best(&microseconds([100, 200, 300, 400, 500, 600, 700, 800])),
            1
        );
    }

    #[test]
    fn calibration_is_quick_and_within_range() {
        let start = Instant::now();
        assert!((1..=MAX_LANES).contains(&calibrate()));
        // A second is generous, because the machine that runs the tests is busy.
        assert!(start.elapsed() < Duration::from_secs(1));
    }
}
