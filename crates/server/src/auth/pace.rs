//! Refusals of sign-ins, spaced out.
//!
//! A refusal is cheap, so a flood of clients that come back at once could be refused tens of thousands of times a
//! second, and the refusing alone would take the processor away from everybody else. Past a burst, each refusal
//! therefore waits its turn: that costs the flood time and the server nothing.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::error::Error;

/// Between two refusals once the burst is used up: 200 a second.
const SPACING: Duration = Duration::from_millis(5);
/// Refusals that go out at once after a quiet time.
const BURST: u32 = 100;
/// Nobody is kept longer than this for a refusal.
const LONGEST: Duration = Duration::from_millis(500);

/// When the next refusal may go out.
pub struct Pace(Mutex<Instant>);

impl Default for Pace {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl Pace {
    /// Hands `outcome` on, at once unless it refuses for the sake of a limit.
    pub(super) async fn hand_on<T>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        if let Err(Error::TooManyAttempts { .. } | Error::Overloaded { .. }) = outcome {
            sleep_until(self.turn(Instant::now())).await;
        }
        outcome
    }

    fn turn(&self, now: Instant) -> Instant {
        let mut free_at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let burst_ago = now.checked_sub(SPACING * BURST).unwrap_or(now);
        *free_at = (*free_at + SPACING).clamp(burst_ago, now + LONGEST);
        *free_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_out_at_once_and_the_rest_is_spaced() {
        let now = Instant::now() + Duration::from_secs(60);
        let pace = Pace::default();
        let delays: Vec<_> = (0..500)
            .map(|_| pace.turn(now).saturating_duration_since(now))
            .collect();
        assert_eq!(delays[99], Duration::ZERO);
        assert_eq!(delays[101], SPACING);
        assert_eq!(delays[499], LONGEST);
        let later = now + Duration::from_secs(10);
        assert!(pace.turn(later) <= later, "a quiet time earns a new burst");
    }
}
