//! Statements and transactions over one connection, and what a failure of them means.

use futures_util::future::join_all;
use tokio_postgres::error::SqlState;

use super::connection::Connection;
use crate::store::statement::{Changed, DbError, Statement, Written};

/// A failed attempt, and what may be done about it.
pub(super) struct Failure {
    pub(super) error: DbError,
    pub(super) connection_is_lost: bool,
    pub(super) retry: bool,
}

impl Failure {
    pub(super) fn lasting(error: DbError) -> Self {
        Self {
            error,
            connection_is_lost: false,
            retry: false,
        }
    }

    /// A connection that the server took, and ended while it was being made, is worth another try (REL-11).
    pub(super) fn from_dialling(error: DbError) -> Self {
        let was_ended = match &error {
            DbError::Unavailable(source) => source
                .downcast_ref::<tokio_postgres::Error>()
                .is_some_and(|error| {
                    error.is_closed()
                        || error.code() == Some(&SqlState::ADMIN_SHUTDOWN)
                        || error.code() == Some(&SqlState::CRASH_SHUTDOWN)
                }),
            _ => false,
        };
        Self {
            error,
            connection_is_lost: true,
            retry: was_ended,
        }
    }

    /// `commit_sent`: the server may have done the work although we saw an error. REL-03: never tried again.
    fn from_postgres(error: tokio_postgres::Error, commit_sent: bool) -> Self {
        let lost = is_lost(&error);
        let undone = is_undone(&error);
        Self {
            error: classify(error),
            connection_is_lost: lost,
            retry: undone || (lost && !commit_sent),
        }
    }
}

pub(super) async fn read(
    connection: &Connection,
    statements: &[Statement],
) -> Result<Written, Failure> {
    let failed = |error| Failure::from_postgres(error, false);
    let mut changes = Vec::with_capacity(statements.len());
    for statement in statements {
        connection.prepare(statement).await.map_err(failed)?;
        changes.push(connection.run(statement).await.map_err(failed)?);
    }
    Ok(Written::Committed(changes))
}

/// BEGIN and all statements travel together, then COMMIT or ROLLBACK: two round trips however many statements.
pub(super) async fn transaction(
    connection: &Connection,
    statements: &[Statement],
) -> Result<Written, Failure> {
    for statement in statements {
        connection
            .prepare(statement)
            .await
            .map_err(|error| Failure::from_postgres(error, false))?;
    }
    let begin = connection.begin();
    let work = join_all(statements.iter().map(|statement| connection.run(statement)));
    let (begun, results) = futures_util::future::join(begin, work).await;
    let outcome = begun.and_then(|()| judge(statements, results));
    let commit = matches!(outcome, Ok(Written::Committed(_)));
    if !outcome.as_ref().is_err_and(is_lost) {
        let end = if commit { "COMMIT" } else { "ROLLBACK" };
        connection
            .batch(end)
            .await
            .map_err(|error| Failure::from_postgres(error, commit))?;
    }
    outcome.map_err(|error| Failure::from_postgres(error, false))
}

/// The outcome is decided by the first statement that failed, or that was required and found nothing. Those after it
/// had been sent along; what became of them means nothing.
fn judge(
    statements: &[Statement],
    results: Vec<Result<Changed, tokio_postgres::Error>>,
) -> Result<Written, tokio_postgres::Error> {
    let mut changes = Vec::with_capacity(results.len());
    for (at, (statement, result)) in statements.iter().zip(results).enumerate() {
        let changed = result?;
        if statement.required && changed.count == 0 {
            return Ok(Written::RolledBack { at });
        }
        changes.push(changed);
    }
    Ok(Written::Committed(changes))
}

fn is_lost(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        None => true,
        // 57P: the server is going away; 08: the connection failed; 25006: a former primary, now read-only;
        // 0A000 and 26000: a prepared statement that the server has dropped or must plan anew.
        Some(code) => {
            code.code().starts_with("57P")
                || code.code().starts_with("08")
                || *code == SqlState::READ_ONLY_SQL_TRANSACTION
                || *code == SqlState::FEATURE_NOT_SUPPORTED
                || *code == SqlState::INVALID_SQL_STATEMENT_NAME
        }
    }
}

/// A deadlock, or transactions that could not be put in an order (distributed PostgreSQL says so even at COMMIT): the
/// server has undone everything.
fn is_undone(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| {
        *code == SqlState::T_R_DEADLOCK_DETECTED || *code == SqlState::T_R_SERIALIZATION_FAILURE
    })
}

pub(super) fn classify(error: tokio_postgres::Error) -> DbError {
    let Some(refusal) = error.as_db_error() else {
        return DbError::unavailable(error);
    };
    let code = refusal.code();
    if *code == SqlState::UNIQUE_VIOLATION {
        return DbError::Unique(refusal.constraint().unwrap_or_default().to_owned());
    }
    // Class 08 connection, 40 rolled back, 53 out of resources, 55 locked, 57 operator or time limit, 58 I/O.
    let passing = ["08", "40", "53", "55", "57", "58"];
    if passing.iter().any(|class| code.code().starts_with(class))
        || *code == SqlState::READ_ONLY_SQL_TRANSACTION
    {
        DbError::unavailable(error)
    } else {
        DbError::Defect(error.into())
    }
}
