//! Look-ups, gathered and run in place.
//!
//! Reads that are ready at the same moment share one read transaction, because taking and giving back the file's read
//! lock costs more than a look-up, and threads that take it at once wait for each other. The first to come lets the
//! requests that are ready run up to the same point, then reads for all of them. A transaction begins after every
//! request in it has come, so nobody sees less than what was committed before they asked.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{CachedStatement, Connection};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::run::{classify, execute, is_busy};
use super::{PATIENCE, file};
use crate::store::statement::{Changed, DbError, Row, Statement};

/// Batches that can be read at the same moment; at most one for each thread that serves requests is of use.
const CONNECTIONS: usize = 4;

pub(super) struct Readers {
    connections: Vec<Mutex<Connection>>,
    next: AtomicUsize,
    gathered: Mutex<Vec<Read>>,
}

struct Read {
    statement: Statement,
    reply: oneshot::Sender<Outcome>,
}

/// The rows, or why there are none, with the statement for another try.
type Outcome = Result<Changed, (rusqlite::Error, Statement)>;

/// The duty to read what is gathered. Dropping it does so: a request that goes away must not leave the others waiting.
struct Lead<'a>(&'a Readers);

impl Readers {
    pub(super) fn open(path: &Path) -> rusqlite::Result<Self> {
        let connections = (0..CONNECTIONS).map(|_| file::connect_reader(path).map(Mutex::new));
        Ok(Self {
            connections: connections.collect::<Result<_, _>>()?,
            next: AtomicUsize::new(0),
            gathered: Mutex::new(Vec::new()),
        })
    }

    pub(super) async fn read(&self, mut statement: Statement) -> Result<Vec<Row>, DbError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.read_with_others(statement).await? {
                Ok(changed) => return Ok(changed.rows),
                Err((error, again)) if is_busy(&error) && Instant::now() < deadline => {
                    sleep(Duration::from_millis(20)).await;
                    statement = again;
                }
                Err((error, _)) => return Err(classify(error)),
            }
        }
    }

    async fn read_with_others(&self, statement: Statement) -> Result<Outcome, DbError> {
        let (reply, answer) = oneshot::channel();
        if let Some(lead) = self.gather(Read { statement, reply }) {
            tokio::task::yield_now().await;
            drop(lead);
        }
        answer
            .await
            .map_err(|_| DbError::unavailable("the reader has panicked"))
    }

    /// Adds a read; the first one leads.
    fn gather(&self, read: Read) -> Option<Lead<'_>> {
        let mut gathered = self.gathered();
        gathered.push(read);
        (gathered.len() == 1).then(|| Lead(self))
    }

    fn gathered(&self) -> MutexGuard<'_, Vec<Read>> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        let connections = &self.connections;
        let free = connections
            .iter()
            .find_map(|connection| connection.try_lock().ok());
        free.unwrap_or_else(|| {
            let turn = self.next.fetch_add(1, Ordering::Relaxed) % connections.len();
            connections[turn]
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        })
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        let reads = std::mem::take(&mut *self.0.gathered());
        read_together(&self.0.connection(), reads);
    }
}

fn read_together(connection: &Connection, reads: Vec<Read>) {
    // Ended when dropped, even by a panic: a snapshot that outlives its batch would bring ended sessions back to life.
    // Without it, each read is a transaction of its own.
    let _shared = (reads.len() > 1).then(|| connection.unchecked_transaction());
    let mut last = None;
    for read in reads {
        // Nobody waits for the answer to a request that is gone.
        if !read.reply.is_closed() {
            let outcome = run_next(connection, &read.statement, &mut last);
            let _ = read
                .reply
                .send(outcome.map_err(|error| (error, read.statement)));
        }
    }
}

/// Runs a statement with what the one before has prepared, if its text is the same: mostly it is.
fn run_next<'c>(
    connection: &'c Connection,
    statement: &Statement,
    last: &mut Option<(&'static str, CachedStatement<'c>)>,
) -> rusqlite::Result<Changed> {
    let mut prepared = match last.take() {
        Some((sql, prepared)) if sql == statement.sql => prepared,
        _ => connection.prepare_cached(statement.sql)?,
    };
    let outcome = execute(&mut prepared, &statement.parameters);
    *last = Some((statement.sql, prepared));
    outcome
}
