//! SQLite: one writer thread with group commit, and a few reader connections used in place.

mod file;
mod run;
mod writer;

pub use file::OpenError;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use super::statement::{DbError, Row, Statement, Written};
use run::{classify, is_busy, run};
use writer::Job;

/// How long one request waits for SQLite before it is told to come again. REL-12 allows six seconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// Transactions that may wait for the writer; each is a few hundred bytes.
const WAITING_WRITES: usize = 4096;
const READERS: usize = 4;

/// An open SQLite database.
#[derive(Clone)]
pub struct Sqlite(Arc<Inner>);

struct Inner {
    jobs: mpsc::Sender<Job>,
    readers: Vec<Mutex<Connection>>,
    next_reader: AtomicUsize,
}

impl Sqlite {
    /// Opens `path`, creating and migrating it where nothing exists. A new file appears whole or not at all, with mode 0600.
    ///
    /// # Errors
    /// [`OpenError`] with one sentence that names the file.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let connection = file::open(path)?;
        let readers = (0..READERS)
            .map(|_| file::connect_reader(path).map(Mutex::new))
            .collect::<Result<_, _>>()
            .map_err(|source| file::sqlite_error(path, source))?;
        let (jobs, queue) = mpsc::channel(WAITING_WRITES);
        let reopened = path.to_owned();
        writer::start(connection, queue, move || file::connect(&reopened))
            .map_err(|source| file::file_error(path, source))?;
        Ok(Self(Arc::new(Inner {
            jobs,
            readers,
            next_reader: AtomicUsize::new(0),
        })))
    }

    pub(super) async fn read(&self, statement: &Statement) -> Result<Vec<Row>, DbError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // In place: a look-up takes microseconds, a hop to another thread takes more.
            let answer = run(&self.reader(), statement);
            match answer {
                Ok(changed) => return Ok(changed.rows),
                Err(error) if is_busy(&error) && Instant::now() < deadline => {
                    sleep(Duration::from_millis(20)).await;
                }
                Err(error) => return Err(classify(error)),
            }
        }
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

    fn reader(&self) -> MutexGuard<'_, Connection> {
        let readers = &self.0.readers;
        let free = readers.iter().find_map(|reader| reader.try_lock().ok());
        free.unwrap_or_else(|| {
            let turn = self.0.next_reader.fetch_add(1, Ordering::Relaxed) % readers.len();
            readers[turn].lock().unwrap_or_else(PoisonError::into_inner)
        })
    }
}
