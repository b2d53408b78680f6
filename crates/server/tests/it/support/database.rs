//! A fresh database for every test, copied from one that was migrated once.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Once, OnceLock};

use gatewright::store::{Encryption, Postgres, Sqlite, Store};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio_postgres::NoTls;

/// A database of one test; gone with the last clone.
#[derive(Clone)]
pub(crate) struct Database(Arc<Inner>);

enum Inner {
    Sqlite { file: PathBuf, _directory: TempDir },
    Postgres { name: String, url: String },
}

impl Database {
    pub(crate) fn sqlite() -> Self {
        static TEMPLATE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
        let (_, template) = TEMPLATE.get_or_init(|| {
            let directory = tempfile::tempdir().expect("a directory");
            let file = directory.path().join("template.db");
            drop(Sqlite::open(&file).expect("a new database"));
            let copy = directory.path().join("copy.db");
            // VACUUM INTO takes what is still in the WAL along.
            let connection = rusqlite::Connection::open(&file).expect("the template");
            connection
                .execute("VACUUM INTO ?1", [copy.to_str()])
                .expect("a copy");
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o600))
                .expect("mode 0600");
            (directory, copy)
        });
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("test.db");
        std::fs::copy(template, &file).expect("a copy");
        Self(Arc::new(Inner::Sqlite {
            file,
            _directory: directory,
        }))
    }

    /// None, said once on standard error, when no PostgreSQL is there: `scripts/test` brings one along.
    pub(crate) async fn postgres() -> Option<Self> {
        static TEMPLATE: OnceCell<String> = OnceCell::const_new();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        static SAID: Once = Once::new();
        let Some(server) = server() else {
            SAID.call_once(|| {
                let _ = writeln!(
                    std::io::stderr(),
                    "left out: everything on PostgreSQL (GATEWRIGHT_TEST_POSTGRES is not set; scripts/test sets it)"
                );
            });
            return None;
        };
        let template = TEMPLATE
            .get_or_init(|| async {
                let name = format!("gatewright_template_{}", std::process::id());
                execute(&server, &format!("CREATE DATABASE {name}")).await;
                let pool = Postgres::new(&with_database(&server, &name), Encryption::Plain).expect("a good URL");
                Store::postgres(pool).migrate().await.expect("a migrated template");
                // A template must not be in use; the pool's connections end with it, a moment later.
                execute(&server, &format!("ALTER DATABASE {name} IS_TEMPLATE true ALLOW_CONNECTIONS false")).await;
                let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
                execute(&server, &end).await;
                name
            })
            .await;
        let name = format!(
            "gatewright_test_{}_{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        execute(
            &server,
            &format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"),
        )
        .await;
        let url = with_database(&server, &name);
        Some(Self(Arc::new(Inner::Postgres { name, url })))
    }

    /// A store of its own on this database: one instance of the server.
    pub(crate) async fn store(&self) -> Store {
        match self.0.as_ref() {
            Inner::Sqlite { file, .. } => Store::sqlite(Sqlite::open(file).expect("the database")),
            Inner::Postgres { url, .. } => {
                Store::postgres(Postgres::new(url, Encryption::Plain).expect("a good URL"))
            }
        }
    }

    /// `DATABASE_URL` for a server process on this database.
    pub(crate) fn url(&self) -> String {
        match self.0.as_ref() {
            Inner::Sqlite { file, .. } => format!("sqlite://{}", file.display()),
            Inner::Postgres { url, .. } => url.clone(),
        }
    }

    /// The file, where this is SQLite.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self.0.as_ref() {
            Inner::Sqlite { file, .. } => Some(file),
            Inner::Postgres { .. } => None,
        }
    }

    /// Runs a statement behind the server's back.
    pub(crate) async fn execute(&self, sql: &str) {
        match self.0.as_ref() {
            Inner::Sqlite { file, .. } => {
                let connection = rusqlite::Connection::open(file).expect("the database");
                connection.execute_batch(sql).expect("a good statement");
            }
            Inner::Postgres { url, .. } => execute(url, sql).await,
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let (Self::Postgres { name, .. }, Some(server)) = (self, server()) else {
            return;
        };
        let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        // A thread of its own: this may run inside a runtime, which must not block.
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(execute(&server, &drop));
        });
        let _ = thread.join();
    }
}

fn server() -> Option<String> {
    told("GATEWRIGHT_TEST_POSTGRES")
}

/// The file with the certificate of the authority that vouches for the server.
pub(crate) fn authority() -> Option<String> {
    told("GATEWRIGHT_TEST_POSTGRES_CA")
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests are told by their script where PostgreSQL is"
)]
fn told(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn with_database(server: &str, name: &str) -> String {
    let (address, _) = server.rsplit_once('/').expect("a URL with a database");
    format!("{address}/{name}")
}

async fn execute(url: &str, sql: &str) {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .expect("PostgreSQL");
    let connection = tokio::spawn(connection);
    client.batch_execute(sql).await.expect("a good statement");
    drop(client);
    let _ = connection.await;
}
