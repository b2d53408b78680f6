//! PostgreSQL: a bounded pool, time limits on our side of every wait, and nothing that a pooler in transaction mode
//! (PgBouncer, Neon) could trip over.
//!
//! Named prepared statements, which are faster, are used only on a connection that provably ends at the server
//! itself: the address that the server says it was reached at is the one that was dialled. Behind anything else every
//! statement is unnamed and takes one round trip.

mod connection;
mod exchange;
mod readers;
mod tls;

pub use tls::ConfigError;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{Object, Pool, PoolError};
use tokio::time::{Instant, timeout_at};
use tokio_postgres::error::SqlState;

use super::MigrationFailure;
use super::migrate::{self, MigrateError};
use super::statement::{DbError, Row, Statement, Written};
use connection::{Connection, Dialer};
use exchange::{Failure, classify, read, transaction};
use readers::Readers;

/// One operation, from asking for a connection to its answer; REL-05 allows five seconds to a whole request.
const PATIENCE: Duration = Duration::from_millis(4000);
/// The part of it that may go by waiting for a connection (REL-08).
const ACQUIRE_PATIENCE: Duration = Duration::from_secs(3);
/// A migration may wait for another instance that is at it, and for a sleeping database.
const MIGRATION_PATIENCE: Duration = Duration::from_secs(60);
const CONNECTIONS: usize = 10;
/// A read, or a transaction whose COMMIT was not yet sent, is tried again on another connection when the server
/// ended the first one while it lay idle (Neon does). Each attempt takes at least one dead connection out of the pool.
/// So is a transaction that the server itself has undone.
const ATTEMPTS: usize = CONNECTIONS + 1;

/// Connections to one PostgreSQL server: a pool for transactions, and a few that all reads share.
#[derive(Clone)]
pub struct Postgres {
    pool: Pool<Dialer>,
    readers: Arc<Readers>,
}

/// How connections to PostgreSQL are protected.
#[derive(Debug, Clone, Copy)]
pub enum Encryption<'a> {
    /// Plain text: loopback, a socket file, or asked for by name.
    Plain,
    /// TLS with the server's certificate and name checked, against this PEM file or the public authorities.
    VerifyFull(Option<&'a Path>),
}

impl Postgres {
    /// Makes the pool; nothing is dialled yet.
    ///
    /// # Errors
    /// [`ConfigError`] when the URL or the certificate file cannot be used.
    pub fn new(url: &str, encryption: Encryption<'_>) -> Result<Self, ConfigError> {
        let config: tokio_postgres::Config = url.parse().map_err(|_| ConfigError::Url)?;
        let tls = match encryption {
            Encryption::Plain => None,
            Encryption::VerifyFull(certificate) => Some(tls::connector(certificate)?),
        };
        let dialer = Dialer::new(config, tls, CONNECTIONS);
        let readers = Arc::new(Readers::new(dialer.clone()));
        let pool = Pool::builder(dialer).max_size(CONNECTIONS).build();
        let pool = pool.map_err(|_| ConfigError::Url)?;
        Ok(Self { pool, readers })
    }

    pub(super) async fn read(&self, statement: &Statement) -> Result<Vec<Row>, DbError> {
        match self
            .run(std::slice::from_ref(statement), Kind::Read)
            .await?
        {
            Written::Committed(changes) => Ok(changes
                .into_iter()
                .flat_map(|changed| changed.rows)
                .collect()),
            Written::RolledBack { .. } => Ok(Vec::new()),
        }
    }

    pub(super) async fn write(&self, statements: &[Statement]) -> Result<Written, DbError> {
        self.run(statements, Kind::Write).await
    }

    pub(super) async fn migrate(&self) -> Result<(), MigrationFailure> {
        let deadline = Instant::now() + MIGRATION_PATIENCE;
        let mut lease = Lease::new(&self.pool, deadline)
            .await
            .map_err(|failure| migration_failure(failure.error))?;
        let work = migrate::postgres(lease.connection_mut().client());
        let outcome = timeout_at(deadline, work).await;
        match outcome {
            Ok(Ok(())) => {
                lease.give_back();
                Ok(())
            }
            Ok(Err(MigrateError::Postgres(error))) => Err(migration_failure(classify(error))),
            Ok(Err(other)) => Err(MigrationFailure::Lasting(other.into())),
            Err(_) => Err(MigrationFailure::Unavailable(DbError::unavailable(
                "the migration took too long",
            ))),
        }
    }

    async fn run(&self, statements: &[Statement], kind: Kind) -> Result<Written, DbError> {
        let deadline = Instant::now() + PATIENCE;
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.attempt(statements, kind, deadline).await {
                Err(Failure { retry: true, .. }) if attempt < ATTEMPTS => {}
                Err(failure) => return Err(failure.error),
                Ok(written) => return Ok(written),
            }
        }
    }

    async fn attempt(
        &self,
        statements: &[Statement],
        kind: Kind,
        deadline: Instant,
    ) -> Result<Written, Failure> {
        if matches!(kind, Kind::Read)
            && let Some(reader) = self.readers.reader(deadline).await?
        {
            return reader.read(statements, deadline).await;
        }
        let lease = Lease::new(&self.pool, deadline).await?;
        let work = async {
            match kind {
                Kind::Read => read(lease.connection(), statements).await,
                Kind::Write => transaction(lease.connection(), statements).await,
            }
        };
        let outcome = timeout_at(deadline, work).await;
        match outcome {
            Ok(Err(failure)) if failure.connection_is_lost => Err(failure),
            Ok(outcome) => {
                lease.give_back();
                outcome
            }
            Err(_) => {
                lease.cancel();
                Err(Failure::lasting(DbError::unavailable("no answer in time")))
            }
        }
    }
}

/// Wrong credentials or a missing database do not mend themselves while we try again.
fn migration_failure(error: DbError) -> MigrationFailure {
    match error {
        DbError::Unavailable(source) => {
            let code = source
                .downcast_ref::<tokio_postgres::Error>()
                .and_then(|error| error.code().cloned());
            let lasting = [
                SqlState::INVALID_PASSWORD,
                SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
                SqlState::INVALID_CATALOG_NAME,
            ];
            match code {
                Some(code) if lasting.contains(&code) => MigrationFailure::Lasting(source),
                _ => MigrationFailure::Unavailable(DbError::Unavailable(source)),
            }
        }
        other => MigrationFailure::Lasting(other.into()),
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Read,
    Write,
}

/// A connection that goes back to the pool only when it is known to be at rest: a request that is given up half way
/// must not hand its unread answer to the next one.
struct Lease(Option<Object<Dialer>>);

impl Lease {
    async fn new(pool: &Pool<Dialer>, deadline: Instant) -> Result<Self, Failure> {
        let patience = deadline.min(Instant::now() + ACQUIRE_PATIENCE);
        match timeout_at(patience, pool.get()).await {
            Ok(Ok(object)) => Ok(Self(Some(object))),
            Ok(Err(PoolError::Backend(error))) => Err(Failure::from_dialling(error)),
            Ok(Err(other)) => Err(Failure::lasting(DbError::unavailable(other.to_string()))),
            Err(_) => Err(Failure::lasting(DbError::unavailable(
                "no connection in time",
            ))),
        }
    }

    fn connection(&self) -> &Connection {
        self.0
            .as_ref()
            .expect("a lease holds its connection until it ends")
    }

    fn connection_mut(&mut self) -> &mut Connection {
        self.0
            .as_mut()
            .expect("a lease holds its connection until it ends")
    }

    fn give_back(mut self) {
        self.0 = None;
    }

    /// Asks the server to stop the statement, so that a lock or a slow plan does not outlive the request by much.
    fn cancel(mut self) {
        if let Some(object) = self.0.take() {
            Object::take(object).cancel();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            Object::take(object).cancel();
        }
    }
}
