//! The only source of randomness.

use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng, TryRng};
use uuid::Uuid;

/// Where random bytes come from: the operating system, or a seed in tests.
#[derive(Clone, Debug, Default)]
pub enum Random {
    /// The operating system's cryptographic generator.
    #[default]
    System,
    /// A reproducible stream, so that snapshots of answers stay the same.
    Seeded(Arc<Mutex<StdRng>>),
}

impl Random {
    /// A reproducible stream made from `seed`; for tests only.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::Seeded(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// `N` random bytes.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match self {
            Self::System => SysRng
                .try_fill_bytes(&mut bytes)
                .expect("the operating system's generator answers"),
            Self::Seeded(rng) => rng
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .fill_bytes(&mut bytes),
        }
        bytes
    }

    /// A version 7 UUID (RFC 9562 §5.7): `now_ms` first, then 74 random bits.
    #[must_use]
    pub fn uuid(&self, now_ms: i64) -> Uuid {
        let unix_ms = u64::try_from(now_ms).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(unix_ms, &self.bytes()).into_uuid()
    }
}
