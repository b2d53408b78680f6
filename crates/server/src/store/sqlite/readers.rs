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

use rusqlite::Connection;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::run::{classify, is_busy, run};
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
    reply: oneshot::Sender<rusqlite::Result<Changed>>,
}

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

    pub(super) async fn read(&self, statement: &Statement) -> Result<Vec<Row>, DbError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.read_with_others(statement.clone()).await? {
                Ok(changed) => return Ok(changed.rows),
                Err(error) if is_busy(&error) && Instant::now() < deadline => {
                    sleep(Duration::from_millis(20)).await;
                }
                Err(error) => return Err(classify(error)),
            }
        }
    }

    async fn read_with_others(
        &self,
        statement: Statement,
    ) -> Result<rusqlite::Result<Changed>, DbError> {
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
    for read in reads {
        // Nobody waits for the answer to a request that is gone.
        if !read.reply.is_closed() {
            let _ = read.reply.send(run(connection, &read.statement));
        }
    }
}
