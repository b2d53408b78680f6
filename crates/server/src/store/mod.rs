//! Everything that is kept: users, sessions and counters, in one SQL text for both databases.
//!
//! The store knows no HTTP, clock or randomness: ids and times are made in `auth` and handed down.

mod db;
mod limits;
mod migrate;
mod postgres;
mod sessions;
mod sqlite;
mod statement;
mod users;

pub use limits::{Cap, Reservation};
pub use migrate::MigrateError;
pub use postgres::{ConfigError, Encryption, Postgres};
pub use sessions::{Credential, NewSession};
pub use sqlite::{OpenError, Sqlite};
pub use statement::DbError;
pub use users::{NewUser, Stored, User};

use crate::error::Error;
use db::Db;
use statement::sql;

/// The database, in the words of the domain.
#[derive(Clone, Debug)]
pub struct Store(Db);

impl Store {
    /// A store on an open SQLite file.
    #[must_use]
    pub fn sqlite(sqlite: Sqlite) -> Self {
        Self(Db::Sqlite(sqlite))
    }

    /// A store on a PostgreSQL pool.
    #[must_use]
    pub fn postgres(postgres: Postgres) -> Self {
        Self(Db::Postgres(postgres))
    }

    /// Brings the schema up to date; several instances may try at once. SQLite does this when it is opened.
    ///
    /// # Errors
    /// [`MigrationFailure`].
    pub async fn migrate(&self) -> Result<(), MigrationFailure> {
        match &self.0 {
            Db::Sqlite(_) => Ok(()),
            Db::Postgres(postgres) => postgres.migrate().await,
        }
    }

    /// Whether the database answers and its schema is the one this program knows.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`] when it does not answer.
    pub async fn is_current(&self) -> Result<bool, Error> {
        let statement = sql(
            "SELECT COALESCE(MAX(version), 0) FROM schema_migrations",
            [],
        );
        let row = match self.0.read_one(statement).await {
            // No ledger: this database was never migrated.
            Err(DbError::Defect(_)) => return Ok(false),
            answer => answer?,
        };
        let version: i64 = row.map_or(Ok(0), |row| row.get(0))?;
        Ok(version == migrate::known())
    }
}

/// Why PostgreSQL could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrationFailure {
    /// It did not answer: worth another try.
    #[error(transparent)]
    Unavailable(DbError),
    /// Another try would end the same way: wrong credentials, no such database, a newer schema.
    #[error(transparent)]
    Lasting(Box<dyn std::error::Error + Send + Sync>),
}

impl From<DbError> for Error {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Unavailable(source) => Self::DatabaseUnavailable(source),
            // The only unique column that a client can fill: SQLite names the column, PostgreSQL the index.
            DbError::Unique(name) if name.contains("email") => Self::EmailTaken,
            other => Self::Internal(other.into()),
        }
    }
}
