//! Guessing limits: what is counted, and under which names.

use std::time::Duration;

use super::ClientNetwork;
use super::audit::short_digest;
use crate::settings::RateLimit;
use crate::store::Cap;

/// How much guessing is tolerated.
#[derive(Clone, Copy, Debug)]
pub struct LimitSettings {
    /// Failures for each account and client network before waiting starts.
    pub login_failures: u32,
    /// Failed sign-ins, and sign-ups, for each client network; `None` is no limit.
    pub client_failures: Option<RateLimit>,
}

/// An account's failures from all networks together are capped at this many times the limit for one network, within an
/// hour (SEC-16: higher than what one client can reach, whose waits double).
const ACCOUNT_FACTOR: i64 = 10;
const ACCOUNT_WINDOW_MS: i64 = 60 * 60 * 1000;
/// Stands for "no limit" of clients: more than an instance can hash in a window.
const UNLIMITED: RateLimit = RateLimit {
    count: u32::MAX,
    period: Duration::from_secs(60),
};

/// The counters that one sign-in touches, always in this order: client, account, account and client.
#[derive(Clone, Debug)]
pub(super) struct LoginLimits {
    pub(super) caps: [Cap; 3],
    pub(super) keys: [String; 3],
    /// How many attempts may be under way at once under each key without any of them being one too many.
    pub(super) parallel: [u32; 3],
}

impl LimitSettings {
    /// The counters of a sign-in. `email` is the canonical e-mail, or what was sent where that is none; it counts alike
    /// whether or not it has an account.
    pub(super) fn login(&self, email: &str, network: ClientNetwork) -> LoginLimits {
        let network = network.to_string();
        let keys = [
            short_digest(&["client", &network]),
            short_digest(&["account", email]),
            short_digest(&["account and client", email, &network]),
        ];
        let failures = i64::from(self.login_failures);
        let client = self.client_failures.unwrap_or(UNLIMITED);
        let caps = [
            window(&keys[0], client),
            Cap::Window {
                key: keys[1].clone(),
                count: failures * ACCOUNT_FACTOR,
                window_ms: ACCOUNT_WINDOW_MS,
            },
            Cap::Backoff {
                key: keys[2].clone(),
                count: failures,
            },
        ];
        let account = self.login_failures.saturating_mul(10);
        LoginLimits {
            caps,
            keys,
            parallel: [client.count, account, self.login_failures],
        }
    }

    /// The counter of a sign-up, shared with failed sign-ins of the same network.
    pub(super) fn register(&self, network: ClientNetwork) -> Option<Cap> {
        let key = short_digest(&["client", &network.to_string()]);
        self.client_failures.map(|limit| window(&key, limit))
    }
}

fn window(key: &str, limit: RateLimit) -> Cap {
    Cap::Window {
        key: key.to_owned(),
        count: limit.count.into(),
        window_ms: i64::try_from(limit.period.as_millis()).unwrap_or(i64::MAX),
    }
}

/// Whole seconds for `Retry-After`, rounded up: whoever comes back then is heard (SEC-20).
pub(super) fn whole_seconds(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0).div_ceil(1000).max(1)
}
