//! The thread that alone writes to an SQLite file.
//!
//! Transactions that wait at the same moment are committed together: one fsync for all of them. Each keeps its own
//! savepoint, so one that is refused leaves the others alone.

use std::io;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::run::{classify, run};
use crate::store::statement::{DbError, Statement, Written};

/// Transactions in one commit; bounds how long the first of them waits for the last.
const GROUP: usize = 128;

/// One transaction and the place for its outcome.
pub(super) struct Job {
    pub(super) statements: Vec<Statement>,
    pub(super) reply: oneshot::Sender<Result<Written, DbError>>,
}

/// Starts the thread; it ends when every sender of `queue` is gone. `reopen` makes a fresh connection after a commit
/// failed, because what SQLite holds in memory is then no longer to be trusted (REL-16).
pub(super) fn start(
    mut connection: Connection,
    mut queue: mpsc::Receiver<Job>,
    reopen: impl Fn() -> rusqlite::Result<Connection> + Send + 'static,
) -> io::Result<()> {
    let work = move || {
        let mut jobs = Vec::with_capacity(GROUP);
        while queue.blocking_recv_many(&mut jobs, GROUP) > 0 {
            if !commit_together(&connection, &mut jobs) {
                match reopen() {
                    Ok(fresh) => connection = fresh,
                    Err(error) => tracing::error!(%error, "the SQLite file cannot be reopened"),
                }
            }
        }
    };
    std::thread::Builder::new()
        .name("sqlite-writer".into())
        .spawn(work)
        .map(drop)
}

/// Runs and answers all `jobs`; false when the connection should be replaced.
fn commit_together(connection: &Connection, jobs: &mut Vec<Job>) -> bool {
    // IMMEDIATE: a deferred transaction that upgrades fails at once with SQLITE_BUSY_SNAPSHOT and ignores the timeout.
    if let Err(error) = connection.execute_batch("BEGIN IMMEDIATE") {
        answer_all(jobs.drain(..).map(|job| job.reply), &error);
        return connection.is_autocommit();
    }
    // Whoever has stopped waiting, here or while another process held the file, was told to come again; doing the work
    // now would surprise them.
    jobs.retain(|job| !job.reply.is_closed());
    let mut outcomes = Vec::with_capacity(jobs.len());
    for job in jobs.drain(..) {
        let outcome = run_one(connection, &job.statements);
        outcomes.push((job.reply, outcome));
        // A full disk makes SQLite roll everything back by itself.
        if connection.is_autocommit() {
            break;
        }
    }
    if connection.is_autocommit() {
        let error = rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL),
            Some("SQLite rolled the transaction back".into()),
        );
        answer_all(outcomes.into_iter().map(|(reply, _)| reply), &error);
        return true;
    }
    if let Err(error) = connection.execute_batch("COMMIT") {
        if !connection.is_autocommit() {
            let _ = connection.execute_batch("ROLLBACK");
        }
        answer_all(outcomes.into_iter().map(|(reply, _)| reply), &error);
        return false;
    }
    for (reply, outcome) in outcomes {
        let _ = reply.send(outcome);
    }
    true
}

fn run_one(connection: &Connection, statements: &[Statement]) -> Result<Written, DbError> {
    connection
        .execute_batch("SAVEPOINT job")
        .map_err(classify)?;
    let outcome = run_statements(connection, statements);
    let end = match &outcome {
        Ok(Written::Committed(_)) => "RELEASE job",
        _ => "ROLLBACK TO job; RELEASE job",
    };
    if !connection.is_autocommit()
        && let Err(error) = connection.execute_batch(end)
    {
        // Half a job must not be committed with the others.
        let _ = connection.execute_batch("ROLLBACK");
        return Err(classify(error));
    }
    outcome
}

fn run_statements(connection: &Connection, statements: &[Statement]) -> Result<Written, DbError> {
    let mut changes = Vec::with_capacity(statements.len());
    for (at, statement) in statements.iter().enumerate() {
        let changed = run(connection, statement).map_err(classify)?;
        if statement.required && changed.count == 0 {
            return Ok(Written::RolledBack { at });
        }
        changes.push(changed);
    }
    Ok(Written::Committed(changes))
}

fn answer_all(
    replies: impl Iterator<Item = oneshot::Sender<Result<Written, DbError>>>,
    error: &rusqlite::Error,
) {
    for reply in replies {
        let _ = reply.send(Err(DbError::unavailable(error.to_string())));
    }
}
