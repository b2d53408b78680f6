//! Counters of failures, kept in the database: they outlive a restart and are shared by all instances.

use super::Store;
use super::statement::{Statement, Written, sql};
use crate::error::Error;

/// How one counter limits.
#[derive(Clone, Debug)]
pub enum Cap {
    /// At most `count` in a fixed window of `window_ms` milliseconds.
    Window {
        /// Digest that names the counter.
        key: String,
        /// Failures allowed in a window.
        count: i64,
        /// Length of a window in milliseconds.
        window_ms: i64,
    },
    /// `count` are free, then each costs a wait that doubles from one second to fifteen minutes.
    Backoff {
        /// Digest that names the counter.
        key: String,
        /// Failures that cost nothing.
        count: i64,
    },
}

/// NIST SP 800-63B-4 §3.2.2 asks for growing waits; SEC-14 sets one second to fifteen minutes.
const FIRST_WAIT_MS: i64 = 1000;
const LONGEST_WAIT_MS: i64 = 15 * 60 * 1000;
/// Failures are forgotten when none was added for a day.
const MEMORY_MS: i64 = 24 * 60 * 60 * 1000;
/// How far clocks may disagree, those of two instances or of two requests that read the same one in turn.
const DISAGREEMENT_MS: i64 = 60 * 1000;

/// The outcome of [`Store::reserve`].
#[derive(Debug, PartialEq, Eq)]
pub enum Reservation {
    /// Counted; a failure under the last cap costs this wait in milliseconds, 0 for none.
    Granted {
        /// Length of the wait that a failure now begins.
        wait_ms: i64,
    },
    /// The cap at `index` is reached; nothing was counted.
    Refused {
        /// Index of the cap.
        index: usize,
        /// Milliseconds until it opens.
        wait_ms: i64,
    },
}

impl Cap {
    fn key(&self) -> &str {
        match self {
            Self::Window { key, .. } | Self::Backoff { key, .. } => key,
        }
    }

    /// Counts one, unless the cap is reached. An end that lies further away than this cap and clocks that disagree can put
    /// it was written before the clock was set back; it counts as over, so that no jump locks anybody out (REL-28). A
    /// smaller distance is no jump: requests come to the database in another order than they read the clock.
    fn reserve(&self, now: i64) -> Statement {
        match self {
            Self::Window {
                key,
                count,
                window_ms,
            } => sql(
                "INSERT INTO limits (key, failures, blocked_until, expires_at) VALUES ($1, 1, 0, $2) \
                 ON CONFLICT (key) DO UPDATE SET \
                 failures = CASE WHEN limits.expires_at > $3 AND limits.expires_at <= $4 THEN limits.failures + 1 ELSE 1 END, \
                 expires_at = CASE WHEN limits.expires_at > $3 AND limits.expires_at <= $4 THEN limits.expires_at ELSE $2 END \
                 WHERE limits.failures < $5 OR limits.expires_at <= $3 OR limits.expires_at > $4 \
                 RETURNING blocked_until",
                [
                    key.as_str().into(),
                    (now + window_ms).into(),
                    now.into(),
                    (now + window_ms + DISAGREEMENT_MS).into(),
                    (*count).into(),
                ],
            ),
            Self::Backoff { key, count } => sql(
                "INSERT INTO limits (key, failures, expires_at, blocked_until) \
                 VALUES ($1, 1, $2, CASE WHEN $3 > 1 THEN 0 ELSE $4 + $5 END) \
                 ON CONFLICT (key) DO UPDATE SET \
                 failures = CASE WHEN limits.expires_at > $4 THEN limits.failures + 1 ELSE 1 END, \
                 blocked_until = CASE \
                     WHEN limits.expires_at <= $4 THEN excluded.blocked_until \
                     WHEN limits.failures + 1 < $3 THEN 0 \
                     WHEN limits.failures + 1 - $3 > 9 THEN $4 + $6 \
                     ELSE $4 + $5 * (1 << CAST(limits.failures + 1 - $3 AS INTEGER)) END, \
                 expires_at = $2 \
                 WHERE limits.blocked_until <= $4 OR limits.blocked_until > $7 \
                 RETURNING blocked_until",
                [
                    key.as_str().into(),
                    (now + MEMORY_MS).into(),
                    (*count).into(),
                    now.into(),
                    FIRST_WAIT_MS.into(),
                    LONGEST_WAIT_MS.into(),
                    (now + LONGEST_WAIT_MS + DISAGREEMENT_MS).into(),
                ],
            ),
        }
    }
}

/// What a success undoes: its own reservation with the client, and every failure of the account.
pub(super) fn clear(keys: &[String; 3]) -> [Statement; 3] {
    let [client, account, pair] = keys;
    let delete = |key: &String| sql("DELETE FROM limits WHERE key = $1", [key.as_str().into()]);
    let give_back = sql(
        "UPDATE limits SET failures = failures - 1 WHERE key = $1 AND failures > 0",
        [client.as_str().into()],
    );
    [give_back, delete(account), delete(pair)]
}

impl Store {
    /// Counts one attempt under every cap, or under none when one of them is reached. One transaction, and all
    /// instances take the rows in the order of `caps`: parallel guesses can neither pass nor deadlock.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`].
    pub async fn reserve(&self, caps: &[Cap], now: i64) -> Result<Reservation, Error> {
        let statements = caps.iter().map(|cap| cap.reserve(now).required()).collect();
        match self.0.write(statements).await? {
            Written::Committed(changes) => {
                let last = changes.last().and_then(|changed| changed.rows.first());
                let blocked_until: i64 = last.map_or(Ok(0), |row| row.get(0))?;
                Ok(Reservation::Granted {
                    wait_ms: (blocked_until - now).max(0),
                })
            }
            Written::RolledBack { at } => {
                let statement = sql(
                    "SELECT CASE WHEN blocked_until > 0 THEN blocked_until ELSE expires_at END FROM limits WHERE key = $1",
                    [caps[at].key().into()],
                );
                let row = self.0.read_one(statement).await?;
                let opens_at: i64 = row.map_or(Ok(now), |row| row.get(0))?;
                Ok(Reservation::Refused {
                    index: at,
                    wait_ms: (opens_at - now).max(0),
                })
            }
        }
    }

    /// Undoes one reservation: takes it off every counter, and ends the wait under the last key if it `began_wait`.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`].
    pub async fn take_back(&self, keys: &[String; 3], began_wait: bool) -> Result<(), Error> {
        let [client, account, pair] = keys;
        let kept_waits = [(client, true), (account, true), (pair, !began_wait)];
        let statements = kept_waits.map(|(key, keeps_wait)| {
            sql(
                "UPDATE limits SET blocked_until = blocked_until * $1, failures = failures - 1 \
                 WHERE key = $2 AND failures > 0",
                [i64::from(keeps_wait).into(), key.as_str().into()],
            )
        });
        self.0.write(statements.into()).await?;
        Ok(())
    }

    /// Starts the wait of a failure when the failure is known: the time that the hash took is not part of it.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`].
    pub async fn begin_wait(&self, key: &str, until: i64) -> Result<(), Error> {
        let statement = sql(
            "UPDATE limits SET blocked_until = $1 WHERE key = $2 AND blocked_until > 0 AND blocked_until < $1",
            [until.into(), key.into()],
        );
        self.0
            .change(statement)
            .await
            .map(drop)
            .map_err(Error::from)
    }
}
