//! The only place that asks the machine for the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Where "now" comes from: the machine, or a hand-moved value in tests.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's wall clock.
    #[default]
    System,
    /// A clock that stands still until it is moved.
    Fixed(FixedClock),
}

/// A clock moved by hand; clones share the same hands.
#[derive(Clone, Debug)]
pub struct FixedClock(Arc<AtomicI64>);

impl Clock {
    /// Milliseconds since the Unix epoch, UTC.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        match self {
            Self::System => jiff::Timestamp::now().as_millisecond(),
            Self::Fixed(clock) => clock.0.load(Ordering::SeqCst),
        }
    }
}

impl FixedClock {
    /// A clock that shows `unix_ms` milliseconds since the Unix epoch.
    #[must_use]
    pub fn at(unix_ms: i64) -> Self {
        Self(Arc::new(AtomicI64::new(unix_ms)))
    }

    /// Moves the hands by `ms` milliseconds; a negative number moves them back.
    pub fn advance_ms(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}
