//! One connection to PostgreSQL, and how it is dialled.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use futures_util::TryStreamExt;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{sleep, timeout};
use tokio_postgres::config::Host;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::store::statement::{Changed, DbError, Row, Statement};

/// Neon wakes a sleeping database in some seconds (REL-11: ten at least must be allowed).
const CONNECT_PATIENCE: Duration = Duration::from_secs(12);
/// After this long an attempt no longer keeps a fresh one from starting: the first may hang on a dead network.
const CONNECT_SUSPICION: Duration = Duration::from_secs(4);
/// REL-09: limits that the server itself keeps, should our own cancellation not reach it.
const SERVER_LIMITS: &str =
    "-c statement_timeout=5000 -c lock_timeout=2000 -c idle_in_transaction_session_timeout=10000";

/// A pooler does not pass [`SERVER_LIMITS`] on; those of a transaction stay with it.
const BEGIN_BEHIND_A_POOLER: &str =
    "BEGIN; SET LOCAL statement_timeout = 5000; SET LOCAL lock_timeout = 2000";
/// A connection that nobody waited for is kept for this long, then it is one too many.
const SPARE_LIFE: Duration = Duration::from_secs(4);

/// A live connection.
pub(super) struct Connection {
    client: Client,
    tls: Option<MakeRustlsConnect>,
    /// Named statements made so far; `None` where a pooler may sit in between.
    prepared: Option<Mutex<HashMap<&'static str, tokio_postgres::Statement>>>,
}

impl Connection {
    /// Whether nothing sits between us and the server.
    pub(super) fn is_direct(&self) -> bool {
        self.prepared.is_some()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Makes the named statement where that is safe and has not happened yet.
    pub(super) async fn prepare(&self, statement: &Statement) -> Result<(), tokio_postgres::Error> {
        if self.is_direct() && self.named(statement).is_none() {
            let types: Vec<_> = statement
                .parameters
                .iter()
                .map(|value| value.postgres_type())
                .collect();
            let made = self.client.prepare_typed(statement.sql, &types).await?;
            if let Some(prepared) = &self.prepared {
                lock(prepared).insert(statement.sql, made);
            }
        }
        Ok(())
    }

    fn named(&self, statement: &Statement) -> Option<tokio_postgres::Statement> {
        let prepared = self.prepared.as_ref()?;
        lock(prepared).get(statement.sql).cloned()
    }

    pub(super) async fn run(
        &self,
        statement: &Statement,
    ) -> Result<Changed, tokio_postgres::Error> {
        let named = self.named(statement);
        let parameters = statement.parameters.iter();
        let mut stream = Box::pin(match &named {
            Some(named) => self.client.query_raw(named, parameters).await?,
            None => {
                let typed = parameters.map(|value| (value, value.postgres_type()));
                self.client.query_typed_raw(statement.sql, typed).await?
            }
        });
        let mut rows = Vec::new();
        while let Some(row) = stream.try_next().await? {
            rows.push(Row::Postgres(row));
        }
        Ok(Changed {
            count: stream.rows_affected().unwrap_or(0),
            rows,
        })
    }

    pub(super) fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    pub(super) async fn batch(&self, text: &str) -> Result<(), tokio_postgres::Error> {
        self.client.batch_execute(text).await
    }

    pub(super) async fn begin(&self) -> Result<(), tokio_postgres::Error> {
        self.batch(match self.prepared {
            Some(_) => "BEGIN",
            None => BEGIN_BEHIND_A_POOLER,
        })
        .await
    }

    /// Drops the connection, asking the server to stop what it is doing for it.
    ///
    /// A pooler stops it by itself when we leave, and is asked for nothing: PgBouncer 1.18 ends altogether when the
    /// connection of a cancellation closes before the server's does (pgbouncer/pgbouncer#801).
    pub(super) fn cancel(self) {
        if self.prepared.is_none() {
            return;
        }
        let token = self.client.cancel_token();
        tokio::spawn(timeout(CONNECT_SUSPICION, async move {
            let _ = match self.tls {
                Some(tls) => token.cancel_query(tls).await,
                None => token.cancel_query(NoTls).await,
            };
        }));
    }
}

/// Makes connections for the pool.
#[derive(Clone)]
pub(super) struct Dialer(Arc<Inner>);

struct Inner {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    attempts: Arc<Semaphore>,
    /// Connections that were ready only after their caller had stopped waiting.
    spare: Mutex<Vec<Connection>>,
    /// A pooler refused our start-up options once; it would again.
    plain_start: AtomicBool,
}

impl Dialer {
    pub(super) fn new(
        mut config: Config,
        tls: Option<MakeRustlsConnect>,
        connections: usize,
    ) -> Self {
        config
            .application_name("gatewright")
            .connect_timeout(CONNECT_PATIENCE)
            .tcp_user_timeout(Duration::from_secs(10))
            .keepalives_idle(Duration::from_secs(30));
        let mode = if tls.is_some() {
            tokio_postgres::config::SslMode::Require
        } else {
            tokio_postgres::config::SslMode::Disable
        };
        config.ssl_mode(mode);
        Self(Arc::new(Inner {
            config,
            tls,
            attempts: Arc::new(Semaphore::new(connections)),
            spare: Mutex::default(),
            plain_start: AtomicBool::new(false),
        }))
    }

    fn spares(&self) -> MutexGuard<'_, Vec<Connection>> {
        lock(&self.0.spare)
    }

    fn spare(&self) -> Option<Connection> {
        let mut spares = self.spares();
        std::iter::from_fn(|| spares.pop()).find(|connection| !connection.is_closed())
    }

    async fn dial(&self) -> Result<Connection, tokio_postgres::Error> {
        let mut config = self.0.config.clone();
        if !self.0.plain_start.load(Ordering::Relaxed) {
            let own = config
                .get_options()
                .map_or_else(String::new, |options| format!("{options} "));
            config.options(format!("{own}{SERVER_LIMITS}"));
        }
        let client = match connect(&config, self.0.tls.as_ref()).await {
            Err(error) if refuses_options(&error) => {
                self.0.plain_start.store(true, Ordering::Relaxed);
                connect(&self.0.config, self.0.tls.as_ref()).await?
            }
            other => other?,
        };
        let direct = is_direct(&client, &self.0.config).await?;
        Ok(Connection {
            client,
            tls: self.0.tls.clone(),
            prepared: direct.then(Mutex::default),
        })
    }

    /// Dials on a task of its own: a caller who gives up after four seconds must not end a connection that would have
    /// been ready after five, or a database that wakes up slowly would never be reached.
    pub(super) async fn connection(&self) -> Result<Connection, DbError> {
        let closed = |_| DbError::unavailable("the dialler has stopped");
        let mut permit = Some(
            self.0
                .attempts
                .clone()
                .acquire_owned()
                .await
                .map_err(DbError::unavailable)?,
        );
        if let Some(connection) = self.spare() {
            return Ok(connection);
        }
        let (reply, answer) = oneshot::channel();
        let dialer = self.clone();
        tokio::spawn(async move {
            let mut dialling = std::pin::pin!(timeout(CONNECT_PATIENCE, dialer.dial()));
            let outcome = match timeout(CONNECT_SUSPICION, &mut dialling).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    permit = None;
                    dialling.await
                }
            };
            let result = outcome
                .map_err(|_| DbError::unavailable("the connection was not made in time"))
                .and_then(|dialled| dialled.map_err(DbError::unavailable));
            if let Err(Ok(connection)) = reply.send(result) {
                dialer.spares().push(connection);
                // Only now: whoever waits for the permit looks for a spare first.
                drop(permit);
                sleep(SPARE_LIFE).await;
                dialer.spares().clear();
            }
        });
        answer.await.map_err(closed)?
    }
}

impl Manager for Dialer {
    type Type = Connection;
    type Error = DbError;

    async fn create(&self) -> Result<Connection, DbError> {
        self.connection().await
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<DbError> {
        if connection.is_closed() {
            return Err(RecycleError::message("closed"));
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn connect(
    config: &Config,
    tls: Option<&MakeRustlsConnect>,
) -> Result<Client, tokio_postgres::Error> {
    match tls {
        Some(tls) => {
            let (client, connection) = config.connect(tls.clone()).await?;
            tokio::spawn(connection);
            Ok(client)
        }
        None => {
            let (client, connection) = config.connect(NoTls).await?;
            tokio::spawn(connection);
            Ok(client)
        }
    }
}

/// PgBouncer and Neon's pooler refuse start-up options that they cannot keep for a shared server connection.
fn refuses_options(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|refusal| {
        (*refusal.code() == SqlState::PROTOCOL_VIOLATION
            || *refusal.code() == SqlState::FEATURE_NOT_SUPPORTED)
            && refusal.message().contains("startup parameter")
    })
}

/// Whether nothing sits between us and the server: it was reached at exactly the address and port that were dialled.
/// A pooler, a proxy or an address translation makes this false, which costs speed and never correctness.
async fn is_direct(client: &Client, config: &Config) -> Result<bool, tokio_postgres::Error> {
    let ([Host::Tcp(host)], ports) = (config.get_hosts(), config.get_ports()) else {
        return Ok(false);
    };
    // With a `hostaddr` the name was not what was dialled.
    if !config.get_hostaddrs().is_empty() {
        return Ok(false);
    }
    let dialled_port = ports.first().copied().unwrap_or(5432);
    let typed: [(
        &(dyn tokio_postgres::types::ToSql + Sync),
        tokio_postgres::types::Type,
    ); 0] = [];
    let row = client
        .query_typed(
            "SELECT host(inet_server_addr()), inet_server_port()",
            &typed,
        )
        .await?;
    let Some(row) = row.first() else {
        return Ok(false);
    };
    let address: Option<String> = row.try_get(0)?;
    let port: Option<i32> = row.try_get(1)?;
    let Some(address) = address.and_then(|text| text.parse::<IpAddr>().ok()) else {
        return Ok(false);
    };
    if port != Some(i32::from(dialled_port)) {
        return Ok(false);
    }
    let mut dialled = match tokio::net::lookup_host((host.as_str(), dialled_port)).await {
        Ok(addresses) => addresses,
        Err(_) => return Ok(false),
    };
    Ok(dialled.any(|socket| socket.ip().to_canonical() == address.to_canonical()))
}
