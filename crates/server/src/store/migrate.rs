//! Schema migrations, embedded in the program and run in one transaction.

use rusqlite::{Connection, TransactionBehavior};
use tokio_postgres::{Client, GenericClient};

/// One step of the schema, the same number in both dialects. Never edited once released.
struct Migration {
    version: i64,
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

macro_rules! migration {
    ($version:literal, $file:literal) => {
        Migration {
            version: $version,
            name: $file,
            sqlite: include_str!(concat!("../../../../migrations/sqlite/", $file, ".sql")),
            postgres: include_str!(concat!("../../../../migrations/postgres/", $file, ".sql")),
        }
    };
}

const MIGRATIONS: &[Migration] = &[migration!(1, "0001_accounts")];

const CREATE_LEDGER: &str = "CREATE TABLE IF NOT EXISTS schema_migrations \
    (version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL)";
const NEWEST: &str = "SELECT COALESCE(MAX(version), 0) FROM schema_migrations";
const RECORD: &str = "INSERT INTO schema_migrations (version, name) VALUES ($1, $2)";
/// "gatewrig" as a number: the key of the advisory lock that lets one instance migrate at a time.
const LOCK_KEY: i64 = 0x6761_7465_7772_6967;

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A newer program has been here.
    #[error("the schema has version {found}, this program knows {known}; use the newer program")]
    Newer {
        /// Version in the database.
        found: i64,
        /// Newest version that this program knows.
        known: i64,
    },
    /// SQLite refused a step.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// PostgreSQL refused a step.
    #[error(transparent)]
    Postgres(#[from] tokio_postgres::Error),
}

/// The newest version that this program knows.
#[must_use]
pub(super) fn known() -> i64 {
    MIGRATIONS.last().map_or(0, |migration| migration.version)
}

pub(super) fn sqlite(connection: &mut Connection) -> Result<(), MigrateError> {
    // A current schema is the rule; do not take the write lock to find that out.
    if sqlite_version(connection).is_ok_and(|version| version == known()) {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(CREATE_LEDGER)?;
    for migration in pending(sqlite_version(&transaction)?)? {
        transaction.execute_batch(migration.sqlite)?;
        transaction.execute(RECORD, (migration.version, migration.name))?;
    }
    Ok(transaction.commit()?)
}

pub(super) async fn postgres(client: &mut Client) -> Result<(), MigrateError> {
    // A current schema is the rule; finding that out needs no right to change it (SEC-76).
    if postgres_version(client)
        .await
        .is_ok_and(|version| version == known())
    {
        return Ok(());
    }
    let transaction = client.transaction().await?;
    // A lock of the transaction, not of the session: safe behind PgBouncer, and gone after a crash. REL-29
    transaction
        .batch_execute(&format!("SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock({LOCK_KEY})"))
        .await?;
    transaction.batch_execute(CREATE_LEDGER).await?;
    for migration in pending(postgres_version(&transaction).await?)? {
        transaction.batch_execute(migration.postgres).await?;
        let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), _); 2] = [
            (&migration.version, tokio_postgres::types::Type::INT8),
            (&migration.name, tokio_postgres::types::Type::TEXT),
        ];
        transaction.query_typed(RECORD, &parameters).await?;
    }
    Ok(transaction.commit().await?)
}

fn pending(found: i64) -> Result<impl Iterator<Item = &'static Migration>, MigrateError> {
    if found > known() {
        return Err(MigrateError::Newer {
            found,
            known: known(),
        });
    }
    Ok(MIGRATIONS
        .iter()
        .filter(move |migration| migration.version > found))
}

async fn postgres_version(client: &impl GenericClient) -> Result<i64, tokio_postgres::Error> {
    let rows = client.query_typed(NEWEST, &[]).await?;
    rows.first().map_or(Ok(0), |row| row.try_get(0))
}

fn sqlite_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row(NEWEST, (), |row| row.get(0))
}
