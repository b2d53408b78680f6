//! The thin layer under the store: one SQL text for two databases.
//!
//! A statement is text plus owned values; a transaction is a list of statements, run as a whole by whichever database is
//! there. So nothing can wait, hash or call out in the middle of a transaction.

use std::fmt;

use super::postgres::Postgres;
use super::sqlite::Sqlite;
use super::statement::{Changed, DbError, Row, Statement, Written};

/// A database: an SQLite file or a PostgreSQL server.
#[derive(Clone)]
pub(super) enum Db {
    /// An SQLite file, opened by this process.
    Sqlite(Sqlite),
    /// A pool of connections to a PostgreSQL server.
    Postgres(Postgres),
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite(_) => "Sqlite",
            Self::Postgres(_) => "Postgres",
        })
    }
}

impl Db {
    /// Rows of one reading statement, in one round trip.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] within five seconds when the database does not answer.
    pub(super) async fn read(&self, statement: Statement) -> Result<Vec<Row>, DbError> {
        match self {
            Self::Sqlite(db) => db.read(statement).await,
            // Boxed, or every request on SQLite would carry the room that this one needs.
            Self::Postgres(db) => Box::pin(db.read(&statement)).await,
        }
    }

    /// The only row of one reading statement, if there is one.
    ///
    /// # Errors
    /// As [`Db::read`].
    pub(super) async fn read_one(&self, statement: Statement) -> Result<Option<Row>, DbError> {
        Ok(self.read(statement).await?.into_iter().next())
    }

    /// Runs `statements` as one transaction: all of them, or none.
    ///
    /// # Errors
    /// [`DbError::Unique`] when a constraint refuses a row; [`DbError::Unavailable`] within five seconds when the
    /// database does not answer, and also when the connection is lost at COMMIT: then nobody knows.
    pub(super) async fn write(&self, statements: Vec<Statement>) -> Result<Written, DbError> {
        match self {
            Self::Sqlite(db) => db.write(statements).await,
            Self::Postgres(db) => db.write(&statements).await,
        }
    }

    /// Runs one changing statement.
    ///
    /// # Errors
    /// As [`Db::write`].
    pub(super) async fn change(&self, statement: Statement) -> Result<Changed, DbError> {
        match self.write(vec![statement]).await? {
            Written::Committed(changed) => Ok(changed.into_iter().next().unwrap_or_default()),
            Written::RolledBack { .. } => Ok(Changed::default()),
        }
    }
}
