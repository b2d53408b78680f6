//! PostgreSQL: a bounded pool, time limits on our side of every wait, and nothing that a pooler in transaction mode
//! (PgBouncer, Neon) could trip over.
//!
//! Named prepared statements, which are faster, are used only on a connection that provably ends at the server
//! itself: the address that the server says it was reached at is the one that was dialled. Behind anything else every
//! statement is unnamed and takes one round trip.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{Object, Pool, PoolError, Timeouts};
use futures_util::future::join_all;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::{Instant, timeout_at};
use tokio_postgres::error::SqlState;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::MigrationFailure;
use super::connection::{Connection, Dialer};
use super::db::{Changed, DbError, Row, Statement, Written};
use super::migrate::{self, MigrateError};

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

/// A pool of connections to one PostgreSQL server.
#[derive(Clone)]
pub struct Postgres(Pool<Dialer>);

/// How connections to PostgreSQL are protected.
#[derive(Debug, Clone, Copy)]
pub enum Encryption<'a> {
    /// Plain text: loopback, a socket file, or asked for by name.
    Plain,
    /// TLS with the server's certificate and name checked, against this PEM file or the public authorities.
    VerifyFull(Option<&'a Path>),
}

/// Why no pool could be made from the settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The URL is not one of PostgreSQL.
    #[error("DATABASE_URL: not a PostgreSQL URL")]
    Url,
    /// The certificate file cannot be used.
    #[error("DATABASE_URL: sslrootcert {0}: {1}")]
    Certificate(String, String),
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
            Encryption::VerifyFull(certificate) => Some(tls(certificate)?),
        };
        let dialer = Dialer::new(config, tls, CONNECTIONS);
        let pool = Pool::builder(dialer)
            .max_size(CONNECTIONS)
            .runtime(Runtime::Tokio1)
            .build();
        pool.map(Self).map_err(|_| ConfigError::Url)
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
        let mut lease = Lease::new(&self.0, deadline)
            .await
            .map_err(|failure| migration_failure(failure.error))?;
        let work = migrate::postgres(lease.connection().client());
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
        let mut lease = Lease::new(&self.0, deadline).await?;
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

/// A failed attempt, and what may be done about it.
struct Failure {
    error: DbError,
    connection_is_lost: bool,
    retry: bool,
}

impl Failure {
    fn lasting(error: DbError) -> Self {
        Self {
            error,
            connection_is_lost: false,
            retry: false,
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

async fn read(connection: &mut Connection, statements: &[Statement]) -> Result<Written, Failure> {
    let failed = |error| Failure::from_postgres(error, false);
    let mut changes = Vec::with_capacity(statements.len());
    for statement in statements {
        connection.prepare(statement).await.map_err(failed)?;
        changes.push(connection.run(statement).await.map_err(failed)?);
    }
    Ok(Written::Committed(changes))
}

/// BEGIN and all statements travel together, then COMMIT or ROLLBACK: two round trips however many statements.
async fn transaction(
    connection: &mut Connection,
    statements: &[Statement],
) -> Result<Written, Failure> {
    for statement in statements {
        connection
            .prepare(statement)
            .await
            .map_err(|error| Failure::from_postgres(error, false))?;
    }
    let connection = &*connection;
    let begin = connection.batch("BEGIN");
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

/// A connection that goes back to the pool only when it is known to be at rest: a request that is given up half way
/// must not hand its unread answer to the next one.
struct Lease(Option<Object<Dialer>>);

impl Lease {
    async fn new(pool: &Pool<Dialer>, deadline: Instant) -> Result<Self, Failure> {
        let wait = Timeouts {
            wait: Some(ACQUIRE_PATIENCE),
            create: None,
            recycle: None,
        };
        match timeout_at(deadline, pool.timeout_get(&wait)).await {
            Ok(Ok(object)) => Ok(Self(Some(object))),
            Ok(Err(PoolError::Backend(error))) => Err(Failure::lasting(error)),
            Ok(Err(_)) => Err(Failure::lasting(DbError::unavailable(
                "every connection is busy",
            ))),
            Err(_) => Err(Failure::lasting(DbError::unavailable(
                "no connection in time",
            ))),
        }
    }

    fn connection(&mut self) -> &mut Connection {
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

fn classify(error: tokio_postgres::Error) -> DbError {
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

fn tls(certificate: Option<&Path>) -> Result<MakeRustlsConnect, ConfigError> {
    let mut roots = RootCertStore::empty();
    match certificate {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let failed = |cause: &dyn std::fmt::Display| {
                ConfigError::Certificate(path.display().to_string(), cause.to_string())
            };
            for found in CertificateDer::pem_file_iter(path).map_err(|error| failed(&error))? {
                let found = found.map_err(|error| failed(&error))?;
                roots.add(found).map_err(|error| failed(&error))?;
            }
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ConfigError::Certificate(String::new(), error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
