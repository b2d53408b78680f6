//! Users: one row an account.

use uuid::Uuid;

use super::Store;
use super::sessions::{NewSession, insert};
use super::statement::{DbError, Row, Statement, Value, Written, sql};
use crate::error::Error;

/// A user as the rest of the program sees one: without the password hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Version 7 UUID.
    pub id: Uuid,
    /// Canonical e-mail.
    pub email: String,
    /// Display name.
    pub name: String,
    /// Unix milliseconds.
    pub created_at: i64,
    /// Unix milliseconds.
    pub updated_at: i64,
    /// Unix milliseconds of the moment an operator disabled the account; absent while it is active.
    pub disabled_at: Option<i64>,
}

/// A user about to be made.
#[derive(Clone, Debug)]
pub struct NewUser<'a> {
    /// Version 7 UUID.
    pub id: Uuid,
    /// Canonical e-mail.
    pub email: &'a str,
    /// Display name.
    pub name: &'a str,
    /// MCF or PHC string; absent for an account without password.
    pub password_hash: Option<&'a str>,
    /// Unix milliseconds.
    pub created_at: i64,
}

/// A user together with the stored hash, read for a sign-in alone.
pub struct Stored {
    /// The account.
    pub user: User,
    /// MCF or PHC string.
    pub password_hash: Option<String>,
}

pub(super) fn user(row: &Row, at: usize) -> Result<User, DbError> {
    Ok(User {
        id: row.get(at)?,
        email: row.get(at + 1)?,
        name: row.get(at + 2)?,
        created_at: row.get(at + 3)?,
        updated_at: row.get(at + 4)?,
        disabled_at: row.get(at + 5)?,
    })
}

fn stored(row: &Row) -> Result<Stored, DbError> {
    Ok(Stored {
        user: user(row, 0)?,
        password_hash: row.get(6)?,
    })
}

impl Store {
    /// Makes a user, with a first session if one is given: both or neither.
    ///
    /// # Errors
    /// [`Error::EmailTaken`] when the canonical e-mail has an account.
    pub async fn insert_user(
        &self,
        new: &NewUser<'_>,
        session: Option<&NewSession>,
    ) -> Result<(), Error> {
        let user = sql(
            "INSERT INTO users (id, email, name, password_hash, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $5)",
            [
                new.id.into(),
                new.email.into(),
                new.name.into(),
                new.password_hash.into(),
                new.created_at.into(),
            ],
        );
        let statements = std::iter::once(user).chain(session.map(insert)).collect();
        self.0.write(statements).await?;
        Ok(())
    }

    /// The account of a canonical e-mail.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`].
    pub async fn user_by_email(&self, email: &str) -> Result<Option<Stored>, Error> {
        let statement = sql(
            "SELECT id, email, name, created_at, updated_at, disabled_at, password_hash FROM users WHERE email = $1",
            [email.into()],
        );
        Ok(self
            .0
            .read_one(statement)
            .await?
            .as_ref()
            .map(stored)
            .transpose()?)
    }

    /// The account with an id.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`].
    pub async fn user_by_id(&self, id: Uuid) -> Result<Option<User>, Error> {
        let statement = sql(
            "SELECT id, email, name, created_at, updated_at, disabled_at FROM users WHERE id = $1",
            [id.into()],
        );
        Ok(self
            .0
            .read_one(statement)
            .await?
            .map(|row| user(&row, 0))
            .transpose()?)
    }

    /// Up to `count` users in the order of their ids, which is the order of their making, after the id `after`.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`].
    pub async fn users_after(&self, after: Uuid, count: i64) -> Result<Vec<User>, Error> {
        let statement = sql(
            "SELECT id, email, name, created_at, updated_at, disabled_at FROM users \
             WHERE id > $1 ORDER BY id LIMIT $2",
            [after.into(), count.into()],
        );
        let rows = self.0.read(statement).await?;
        Ok(rows
            .iter()
            .map(|row| user(row, 0))
            .collect::<Result<_, _>>()?)
    }

    /// Gives an active user another name if there is one, and moves `updated_at` forward in any case.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`].
    pub async fn update_name(
        &self,
        id: Uuid,
        name: Option<&str>,
        now: i64,
    ) -> Result<Option<User>, Error> {
        let statement = sql(
            "UPDATE users SET name = COALESCE($1, name), \
             updated_at = CASE WHEN updated_at < $2 THEN $2 ELSE updated_at + 1 END \
             WHERE id = $3 AND disabled_at IS NULL \
             RETURNING id, email, name, created_at, updated_at, disabled_at",
            [name.into(), now.into(), id.into()],
        );
        let changed = self.0.change(statement).await?;
        Ok(changed.rows.first().map(|row| user(row, 0)).transpose()?)
    }

    /// Disables a user and ends every session; false when there is no such user.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`].
    pub async fn disable_user(&self, id: Uuid, now: i64) -> Result<bool, Error> {
        let disable = sql(
            "UPDATE users SET disabled_at = COALESCE(disabled_at, $1) WHERE id = $2",
            [now.into(), id.into()],
        );
        self.committed(vec![disable.required(), end_sessions(id)])
            .await
    }

    /// Enables a user; sessions that ended stay ended. False when there is no such user.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`].
    pub async fn enable_user(&self, id: Uuid) -> Result<bool, Error> {
        let enable = sql(
            "UPDATE users SET disabled_at = NULL WHERE id = $1",
            [id.into()],
        );
        self.committed(vec![enable.required()]).await
    }

    /// Deletes a user and everything of theirs; false when there is no such user.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`].
    pub async fn delete_user(&self, id: Uuid) -> Result<bool, Error> {
        let delete = sql("DELETE FROM users WHERE id = $1", [id.into()]);
        self.committed(vec![delete.required()]).await
    }

    /// Sets the password hash and ends every session; false when there is no such user.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`].
    pub async fn set_password_hash(&self, id: Uuid, hash: &str, now: i64) -> Result<bool, Error> {
        let set = sql(
            "UPDATE users SET password_hash = $1, \
             updated_at = CASE WHEN updated_at < $2 THEN $2 ELSE updated_at + 1 END WHERE id = $3",
            [hash.into(), now.into(), id.into()],
        );
        self.committed(vec![set.required(), end_sessions(id)]).await
    }

    pub(super) async fn committed(&self, statements: Vec<Statement>) -> Result<bool, Error> {
        Ok(matches!(
            self.0.write(statements).await?,
            Written::Committed(_)
        ))
    }
}

fn end_sessions(user_id: Uuid) -> Statement {
    sql(
        "DELETE FROM sessions WHERE user_id = $1",
        [Value::from(user_id)],
    )
}
