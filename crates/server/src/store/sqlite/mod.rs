//! SQLite: one writer thread with group commit, and look-ups that share read transactions.

mod file;
mod readers;
mod run;
mod writer;

pub use file::OpenError;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::statement::{DbError, Row, Statement, Written};
use readers::Readers;
use writer::Job;

/// How long one request waits for SQLite before it is told to come again. REL-12 allows six seconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// Transactions that may wait for the writer; each is a few hundred bytes.
const WAITING_WRITES: usize = 4096;

/// An open SQLite database.
#[derive(Clone)]
pub struct Sqlite(Arc<Inner>);

struct Inner {
    jobs: mpsc::Sender<Job>,
    readers: Readers,
}

impl Sqlite {
    /// Opens `path`, creating and migrating it where nothing exists. A new file appears whole or not at all, with mode 0600.
    ///
    /// # Errors
    /// [`OpenError`] with one sentence that names the file.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let connection = file::open(path)?;
        let readers = Readers::open(path).map_err(|source| file::sqlite_error(path, source))?;
        let (jobs, queue) = mpsc::channel(WAITING_WRITES);
        let reopened = path.to_owned();
        writer::start(connection, queue, move || file::connect(&reopened))
            .map_err(|source| file::file_error(path, source))?;
        Ok(Self(Arc::new(Inner { jobs, readers })))
    }

    pub(super) async fn read(&self, statement: Statement) -> Result<Vec<Row>, DbError> {
        self.0.readers.read(statement).await
    }

    pub(super) async fn write(&self, statements: Vec<Statement>) -> Result<Written, DbError> {
        let (reply, answer) = oneshot::channel();
        self.0
            .jobs
            .try_send(Job { statements, reply })
            .map_err(|_| DbError::unavailable("the writer's queue is full"))?;
        timeout(PATIENCE, answer)
            .await
            .map_err(|_| DbError::unavailable("the writer is held up"))?
            .map_err(|_| DbError::unavailable("the writer has stopped"))?
    }
}
