//! Everything a request needs, built once and handed down.

use std::sync::atomic::{AtomicU8, Ordering};

use uuid::Uuid;

use crate::auth::{Gate, LimitSettings, Pace, SignedIn, Tokens};
use crate::clock::Clock;
use crate::hash::Hasher;
use crate::random::Random;
use crate::settings::PasswordPolicy;
use crate::store::{NewSession, Store, User};

/// The program's parts. There are no globals: whoever needs one of these is given it.
pub struct App {
    /// Users, sessions and counters.
    pub store: Store,
    /// What time it is.
    pub clock: Clock,
    /// Random bytes.
    pub random: Random,
    /// The hashing queue.
    pub hasher: Hasher,
    /// Keys and rules of access tokens.
    pub tokens: Tokens,
    /// How much guessing is tolerated.
    pub limits: LimitSettings,
    /// Sign-ins under way.
    pub gate: Gate,
    /// Spaces out the refusals of sign-ins and sign-ups.
    pub pace: Pace,
    /// What new passwords must be like.
    pub password_policy: PasswordPolicy,
    /// Where the process is in its life.
    pub phase: Phase,
}

/// Starting, running, stopping; only ever forward.
#[derive(Debug, Default)]
pub struct Phase(AtomicU8);

impl Phase {
    const RUNNING: u8 = 1;
    const STOPPING: u8 = 2;

    /// The database is there and its schema is current.
    pub fn run(&self) {
        self.0.fetch_max(Self::RUNNING, Ordering::SeqCst);
    }

    /// No new work should be sent here.
    pub fn stop(&self) {
        self.0.fetch_max(Self::STOPPING, Ordering::SeqCst);
    }

    /// Whether the database has not been reached yet.
    #[must_use]
    pub fn is_starting(&self) -> bool {
        self.0.load(Ordering::SeqCst) < Self::RUNNING
    }

    /// Whether new work is welcome.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.0.load(Ordering::SeqCst) == Self::RUNNING
    }
}

impl App {
    /// A fresh version 7 UUID.
    #[must_use]
    pub fn new_id(&self) -> Uuid {
        self.random.uuid(self.clock.now_ms())
    }

    /// The answer to a sign-up or sign-in whose session is stored.
    #[must_use]
    pub fn signed_in(&self, user: User, session: &NewSession) -> SignedIn {
        let access_token = self.tokens.sign(session, &user, self.new_id());
        SignedIn {
            user,
            access_token,
            expires_in: self.tokens.ttl_seconds(),
        }
    }
}
