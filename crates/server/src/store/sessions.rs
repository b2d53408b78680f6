//! Sessions: a row is a live session, until it expires or sign-out deletes it.

use uuid::Uuid;

use super::Store;
use super::limits::clear;
use super::statement::{Statement, sql};
use super::users::{User, user};
use crate::error::Error;

/// A session about to be made.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Version 7 UUID; the token's `sid`.
    pub id: Uuid,
    /// Whose it is.
    pub user_id: Uuid,
    /// Unix milliseconds.
    pub created_at: i64,
    /// Unix milliseconds; the token's `exp`.
    pub expires_at: i64,
}

/// What the database knows of a token's subject and session.
#[derive(Debug)]
pub struct Credential {
    /// The user that `sub` names, if there is one.
    pub user: Option<User>,
    /// Owner and end (Unix milliseconds) of the session that `sid` names, if it has not ended.
    pub session: Option<(Uuid, i64)>,
}

pub(super) fn insert(new: &NewSession) -> Statement {
    sql(
        "INSERT INTO sessions (id, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4)",
        [
            new.id.into(),
            new.user_id.into(),
            new.created_at.into(),
            new.expires_at.into(),
        ],
    )
}

impl Store {
    /// Everything that a protected request asks, in one statement. A token without session asks with the nil UUID.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`].
    pub async fn credential(&self, user_id: Uuid, session_id: Uuid) -> Result<Credential, Error> {
        // The one-row table keeps the answer there when neither side exists: 401 and 404 need to be told apart.
        let statement = sql(
            "SELECT u.id, u.email, u.name, u.created_at, u.updated_at, u.disabled_at, s.user_id, s.expires_at \
             FROM (SELECT 1 AS one) AS request \
             LEFT JOIN users u ON u.id = $1 LEFT JOIN sessions s ON s.id = $2",
            [user_id.into(), session_id.into()],
        );
        let Some(row) = self.0.read_one(statement).await? else {
            return Ok(Credential {
                user: None,
                session: None,
            });
        };
        let found: Option<Uuid> = row.get(0)?;
        let owner: Option<Uuid> = row.get(6)?;
        Ok(Credential {
            user: found.map(|_| user(&row, 0)).transpose()?,
            session: owner
                .map(|owner| row.get(7).map(|expires_at| (owner, expires_at)))
                .transpose()?,
        })
    }

    /// The end of a right password: a session, a better hash, counters cleared — or nothing at all when the account
    /// was disabled, deleted or given another password while this one was being checked. True when done.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`].
    pub async fn sign_in(
        &self,
        session: &NewSession,
        verified_hash: &str,
        hash_to_keep: &str,
        limit_keys: &[String; 3],
    ) -> Result<bool, Error> {
        // The update locks the user's row, so that disabling cannot slip between the check and the new session.
        let user = sql(
            "UPDATE users SET password_hash = $1 WHERE id = $2 AND password_hash = $3 AND disabled_at IS NULL",
            [
                hash_to_keep.into(),
                session.user_id.into(),
                verified_hash.into(),
            ],
        );
        let mut statements = vec![user.required(), insert(session)];
        statements.extend(clear(limit_keys));
        self.committed(statements).await
    }

    /// Ends one session; false when it had ended already.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`].
    pub async fn end_session(&self, id: Uuid) -> Result<bool, Error> {
        let statement = sql("DELETE FROM sessions WHERE id = $1", [id.into()]);
        Ok(self.0.change(statement).await?.count > 0)
    }

    /// Deletes up to `count` expired sessions and as many expired counters; returns how many rows went.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`].
    pub async fn delete_expired(&self, now: i64, count: i64) -> Result<u64, Error> {
        let sessions = sql(
            "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
            [now.into(), count.into()],
        );
        // The outer condition is asked again of a row that was being counted up meanwhile: it may have a new life.
        let limits = sql(
            "DELETE FROM limits WHERE expires_at <= $1 AND key IN (SELECT key FROM limits WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
            [now.into(), count.into()],
        );
        let sessions = self.0.change(sessions).await?.count;
        Ok(sessions.max(self.0.change(limits).await?.count))
    }
}
