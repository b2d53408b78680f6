//! Password hashing, behind a door with a doorman.
//!
//! Hashing is slow on purpose, so that a flood of sign-ins is the easiest way to take a server down. Here it cannot:
//! one worker per core, at low priority, computes several bcrypt hashes in lock step; a bounded queue hands them work,
//! taking turns between client networks; and who would have to wait too long is told so at the door, before any work.
//! Nothing else waits behind it, and no async thread hashes.
//!
//! Read on in `scheme` (what is computed), `queue` (who is let in, and whose turn it is), `worker` (the threads).

mod queue;
mod scheme;
mod worker;

#[cfg(test)]
mod tests;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use queue::{Place, Queue};
use scheme::{BCRYPT_COSTS, Digest, Recipe, Stored};

pub use scheme::Scheme;

/// How passwords are hashed, and how many may wait for it.
#[derive(Debug, Clone)]
pub struct HasherSettings {
    /// What new passwords get.
    pub scheme: Scheme,
    /// Worker threads; 0 means one per core.
    pub workers: usize,
    /// bcrypt hashes that a worker computes at once, 2 to 8, the last of them only for a client network that has none
    /// running; `None` means as many as suit this processor.
    pub lanes: Option<usize>,
    /// Whoever would wait longer is refused. Who was let in and has waited half as long again is refused after all:
    /// the processor was busy with something else, or clients came that had more of a turn.
    pub max_wait: Duration,
    /// Places inside, for waiting and running together. One client network gets at most three quarters of them.
    pub max_waiting: usize,
}

/// The way to all password hashing: [`admit`](Hasher::admit), then hash or verify with the ticket.
///
/// Clones share the workers, which stop when the last clone is dropped.
#[derive(Clone)]
pub struct Hasher {
    door: Arc<Door>,
}

/// Closes the queue when the last hasher is dropped; tickets and workers keep the queue itself.
struct Door {
    queue: Arc<Queue>,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// Refused at the door: too much work is waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many sign-ins are waiting, come back in {retry_after_seconds} s")]
pub struct Busy {
    /// When the work that is in the way now will be done, in seconds, at least 1.
    pub retry_after_seconds: u64,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// The workers stop, or the work failed; the log knows which.
    #[error("the password hash was not computed")]
    Lost,
    /// It took longer than was foreseen at the door.
    #[error(transparent)]
    Late(#[from] Busy),
}

/// What a password is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Not this account's password.
    Refused,
    /// The account's password.
    Matches,
    /// The account's password, and the stored hash is weaker than the configured scheme.
    MatchesWeaker {
        /// A hash of the same password by the configured scheme, to be stored instead.
        better: String,
    },
}

/// How full the house is at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Tickets out, whether their jobs wait, run, or have yet to come.
    pub places: usize,
    /// Jobs waiting for a worker.
    pub waiting: usize,
    /// Jobs in the hands of workers.
    pub running: usize,
    /// Hashes computed since the start.
    pub hashes: u64,
    /// How much work they were, in rounds of bcrypt or as much argon2id.
    pub rounds: u64,
}

impl Hasher {
    /// Starts the workers, and waits for nothing: they find out what this processor can do by themselves.
    ///
    /// # Errors
    /// When the system refuses a thread, or the scheme's cost is not one of 4 to 15.
    pub fn start(settings: HasherSettings) -> io::Result<Hasher> {
        if let Scheme::Bcrypt { cost } = settings.scheme
            && !BCRYPT_COSTS.contains(&cost)
        {
            let message = format!("bcrypt's cost is from 4 to 15, not {cost}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let workers = match settings.workers {
            0 => thread::available_parallelism().map_or(1, usize::from),
            given => given,
        };
        let queue = Arc::new(Queue::new(settings, workers));
        // Made before the threads: if one cannot be started, the others stop.
        let door = Arc::new(Door {
            queue: Arc::clone(&queue),
        });
        for worker in 0..workers {
            let queue = Arc::clone(&queue);
            thread::Builder::new()
                .name(format!("hash-{worker}"))
                .spawn(move || worker::run(&queue, worker))?;
        }
        Ok(Hasher { door })
    }

    /// The door. Takes a place for one sign-in or sign-up of a client network (an IPv4 address, or an IPv6 address
    /// masked to its /64), or says when to come again. Never waits. The place is given back with the ticket.
    ///
    /// # Errors
    /// [`Busy`] when the predicted wait is too long or the places are taken.
    pub fn admit(&self, client_network: IpAddr) -> Result<Ticket, Busy> {
        let scheme = self.queue().settings.scheme;
        let rounds = scheme.recipe([0; 16]).rounds();
        let place = self.queue().enter(client_network, rounds)?;
        let max_wait = self.queue().settings.max_wait;
        Ok(Ticket {
            scheme,
            place,
            deadline: Instant::now() + max_wait * 3 / 2,
            late: Busy::after(max_wait),
        })
    }

    /// How full the house is now.
    pub fn load(&self) -> Load {
        self.queue().load()
    }

    fn queue(&self) -> &Arc<Queue> {
        &self.door.queue
    }
}

impl Busy {
    /// Whole seconds, rounded up: too early would be another refusal.
    fn after(wait: Duration) -> Busy {
        Busy {
            retry_after_seconds: wait.as_millis().div_ceil(1000).max(1) as u64,
        }
    }
}

/// A place inside, good for one password. Counts as waiting from the start; dropping it, or the future of its one
/// method, gives the place back and leaves undone what is not done yet.
pub struct Ticket {
    scheme: Scheme,
    place: Place,
    deadline: Instant,
    late: Busy,
}

impl Ticket {
    /// The hash of a new password, with a random `salt`. A password that bcrypt would cut (over 72 bytes) or blur
    /// (with a NUL) gets argon2id for this one hash.
    ///
    /// # Errors
    /// [`HashError`].
    pub async fn hash(self, password: &[u8], salt: [u8; 16]) -> Result<String, HashError> {
        let (deadline, late) = (self.deadline, self.late);
        in_time(deadline, late, self.compute(password, salt)).await
    }

    async fn compute(mut self, password: &[u8], salt: [u8; 16]) -> Result<String, HashError> {
        let recipe = self.scheme.recipe_for(password, salt);
        let Submitted { recipe, digest } = self.submit(recipe, password);
        let digest = digest.await.map_err(|_| HashError::Lost)?;
        recipe.text(&digest).ok_or(HashError::Lost)
    }

    /// Compares a password with a stored hash, or with nobody's (`None`).
    ///
    /// A refusal takes as long whatever the reason: where computing the stored hash does not cost at least one hash of
    /// the configured kind, one is computed beside it, with the random `salt`. Of a weaker hash that matches it is
    /// the successor, so that nothing is computed twice. (SEC-13)
    ///
    /// # Errors
    /// [`HashError`].
    pub async fn verify(
        self,
        password: &[u8],
        stored: Option<&str>,
        salt: [u8; 16],
    ) -> Result<Verdict, HashError> {
        let (deadline, late) = (self.deadline, self.late);
        in_time(deadline, late, self.compare(password, stored, salt)).await
    }

    async fn compare(
        mut self,
        password: &[u8],
        stored: Option<&str>,
        salt: [u8; 16],
    ) -> Result<Verdict, HashError> {
        let scheme = self.scheme;
        let stored = stored
            .and_then(Stored::parse)
            .filter(|stored| stored.recipe.holds(password));
        let (pays, is_weaker) = stored
            .as_ref()
            .map_or((false, false), |Stored { recipe, .. }| {
                (recipe.pays_for(scheme), recipe.is_weaker_than(scheme))
            });
        let configured = scheme.recipe(salt);
        let needs_successor = is_weaker && !configured.holds(password);

        let price = (!pays).then(|| self.submit(configured, password));
        let comparison = stored
            .as_ref()
            .map(|stored| self.submit(stored.recipe.clone(), password));
        // The price does not do for a long password whose weak hash is argon2id while bcrypt is configured.
        let successor =
            needs_successor.then(|| self.submit(scheme.recipe_for(password, salt), password));

        // All are waited for, whatever they say: the time must not tell.
        let price = computed(price).await?;
        let comparison = computed(comparison).await?;
        let successor = computed(successor).await?;
        let matches = match (stored, comparison) {
            (Some(stored), Some((_, digest))) => stored.digest == digest,
            _ => false,
        };
        if !matches {
            return Ok(Verdict::Refused);
        }
        if !is_weaker {
            return Ok(Verdict::Matches);
        }
        let (recipe, digest) = successor.or(price).ok_or(HashError::Lost)?;
        let better = recipe.text(&digest).ok_or(HashError::Lost)?;
        Ok(Verdict::MatchesWeaker { better })
    }

    fn submit(&mut self, recipe: Recipe, password: &[u8]) -> Submitted {
        let digest = self.place.submit(recipe.work(password), recipe.rounds());
        Submitted { recipe, digest }
    }
}

/// The outcome of `work`, unless it comes too late: then what is left of it is taken out of the queue (REL-18).
async fn in_time<T>(
    deadline: Instant,
    late: Busy,
    work: impl Future<Output = Result<T, HashError>>,
) -> Result<T, HashError> {
    timeout_at(deadline, work)
        .await
        .unwrap_or(Err(HashError::Late(late)))
}

/// What a worker has been asked for.
struct Submitted {
    recipe: Recipe,
    digest: oneshot::Receiver<Digest>,
}

/// Waits for the digest of what was asked for, if anything was.
async fn computed(submitted: Option<Submitted>) -> Result<Option<(Recipe, Digest)>, HashError> {
    let Some(Submitted { recipe, digest }) = submitted else {
        return Ok(None);
    };
    let digest = digest.await.map_err(|_| HashError::Lost)?;
    Ok(Some((recipe, digest)))
}
