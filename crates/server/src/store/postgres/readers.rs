//! Connections that all reads share.
//!
//! Reads that arrive together travel together: the driver writes the questions of all callers in one go and the server
//! answers in one go, where a connection for each caller would cost a system call at both ends for each of them. Only
//! single statements outside a transaction may share a connection, and only one without a pooler in between.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::{Instant, timeout_at};

use super::connection::{Connection, Dialer};
use super::exchange::{Failure, read};
use crate::store::statement::{DbError, Statement, Written};

/// As many as a server's processors can be kept busy with, for small look-ups.
const SHARED: usize = 4;

pub(super) struct Readers {
    dialer: Dialer,
    slots: [Slot; SHARED],
    next: AtomicUsize,
    behind_pooler: AtomicBool,
}

#[derive(Default)]
struct Slot {
    connection: Mutex<Option<Arc<Connection>>>,
    dialling: tokio::sync::Mutex<()>,
}

/// A shared connection, for one read.
pub(super) struct Reader<'a> {
    slot: &'a Slot,
    connection: Arc<Connection>,
}

impl Readers {
    pub(super) fn new(dialer: Dialer) -> Self {
        Self {
            dialer,
            slots: Default::default(),
            next: AtomicUsize::new(0),
            behind_pooler: AtomicBool::new(false),
        }
    }

    /// The next shared connection, dialled if need be; `None` behind a pooler, where reads take a lease.
    pub(super) async fn reader(&self, deadline: Instant) -> Result<Option<Reader<'_>>, Failure> {
        if self.behind_pooler.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let slot = &self.slots[self.next.fetch_add(1, Ordering::Relaxed) % SHARED];
        if let Some(connection) = slot.live() {
            return Ok(Some(Reader { slot, connection }));
        }
        let dialled = timeout_at(deadline, self.dial(slot)).await;
        let late = || Failure::lasting(DbError::unavailable("no connection in time"));
        let connection = dialled.unwrap_or_else(|_| Err(late()))?;
        Ok(connection.map(|connection| Reader { slot, connection }))
    }

    async fn dial(&self, slot: &Slot) -> Result<Option<Arc<Connection>>, Failure> {
        let _turn = slot.dialling.lock().await;
        if let Some(connection) = slot.live() {
            return Ok(Some(connection));
        }
        let dialled = self.dialer.connection().await;
        let connection = dialled.map_err(Failure::from_dialling)?;
        if !connection.is_direct() {
            self.behind_pooler.store(true, Ordering::Relaxed);
            return Ok(None);
        }
        let connection = Arc::new(connection);
        *slot.lock() = Some(connection.clone());
        Ok(Some(connection))
    }
}

impl Slot {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Connection>>> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn live(&self) -> Option<Arc<Connection>> {
        let connection = self.lock().clone();
        connection.filter(|connection| !connection.is_closed())
    }
}

impl Reader<'_> {
    /// Reads, and gives the connection up for everybody when it fails or stays silent.
    pub(super) async fn read(
        self,
        statements: &[Statement],
        deadline: Instant,
    ) -> Result<Written, Failure> {
        let outcome = match timeout_at(deadline, read(&self.connection, statements)).await {
            Ok(Err(failure)) if failure.connection_is_lost => Err(failure),
            Ok(outcome) => return outcome,
            Err(_) => Err(Failure::lasting(DbError::unavailable("no answer in time"))),
        };
        let mut current = self.slot.lock();
        if current
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, &self.connection))
        {
            *current = None;
        }
        outcome
    }
}
