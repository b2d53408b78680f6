//! From settings to a running `App`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::ExposeSecret as _;
use tokio::runtime::{Builder, Runtime};

use super::{Failure, command_settings, io};
use crate::app::{App, Phase};
use crate::auth::{Gate, LimitSettings, Pace, Tokens};
use crate::clock::Clock;
use crate::hash::{Hasher, HasherSettings, Scheme};
use crate::random::Random;
use crate::settings::{DatabaseUrl, PasswordHash, Secret, Secrets, Settings, Tls};
use crate::store::{Encryption, Postgres, Sqlite, Store};

/// Whoever would wait longer for a hash is told to come again; REL-18 allows twenty seconds to the whole request.
const LONGEST_HASH_WAIT: Duration = Duration::from_secs(9);
/// Places in the hashing queue; each holds a password and a little more.
const HASH_PLACES: usize = 1024;

pub(super) fn runtime() -> Result<Runtime, Failure> {
    Ok(Builder::new_multi_thread().enable_all().build()?)
}

/// Opens the database. SQLite is created and migrated here; PostgreSQL is not dialled yet.
pub(super) fn store(settings: &Settings) -> Result<Store, Failure> {
    match &settings.database {
        DatabaseUrl::Sqlite(path) => Sqlite::open(path)
            .map(Store::sqlite)
            .map_err(|error| Failure::Failed(format!("DATABASE_URL: {error}"))),
        DatabaseUrl::Postgres(url) => {
            let encryption = match url.tls() {
                Tls::Disable => Encryption::Plain,
                Tls::VerifyFull { root_certificate } => {
                    Encryption::VerifyFull(root_certificate.as_deref())
                }
            };
            let pool = Postgres::new(url.config_url().expose_secret(), encryption);
            pool.map(Store::postgres)
                .map_err(|error| Failure::Usage(error.to_string()))
        }
    }
}

/// Puts the parts together. Must be called inside the runtime.
pub(super) fn app(settings: &Settings, secrets: &Secrets, store: Store) -> Result<App, Failure> {
    let tokens = Tokens::new(secrets, settings.token_ttl, settings.accept_foreign_tokens);
    let scheme = match settings.password_hash {
        PasswordHash::Bcrypt => Scheme::Bcrypt {
            cost: settings.bcrypt_cost,
        },
        PasswordHash::Argon2id => Scheme::Argon2id,
    };
    let hasher = Hasher::start(HasherSettings {
        scheme,
        workers: 0,
        lanes: None,
        max_wait: LONGEST_HASH_WAIT,
        max_waiting: HASH_PLACES,
    });
    Ok(App {
        store,
        clock: Clock::System,
        random: Random::System,
        hasher: hasher.context("the hashing threads cannot be started")?,
        tokens: tokens.map_err(|error| Failure::Usage(format!("BETTER_AUTH_SECRET: {error}")))?,
        limits: LimitSettings {
            login_failures: settings.login_failure_limit,
            client_failures: settings.client_failure_limit,
        },
        gate: Gate::default(),
        pace: Pace::default(),
        password_policy: settings.password_policy,
        phase: Phase::default(),
    })
}

/// A running `App` for a command: migrated, with `secrets` or, where no token will be made, with a throw-away one.
pub(super) async fn command_app(settings: &Settings) -> Result<Arc<App>, Failure> {
    let secrets = match &settings.secrets {
        Some(secrets) => secrets.clone(),
        None => Secrets::single(
            Secret::new(fresh_secret()).map_err(|error| Failure::Failed(error.into()))?,
        ),
    };
    Ok(Arc::new(app(settings, &secrets, current(settings).await?)?))
}

/// Opens the database and brings its schema up to date.
async fn current(settings: &Settings) -> Result<Store, Failure> {
    let store = store(settings)?;
    match store.migrate().await {
        Ok(()) => Ok(store),
        Err(error) => Err(Failure::Failed(format!("DATABASE_URL: {}", chain(&error)))),
    }
}

/// Refuses to go on where the SQLite file is missing: a command about accounts that are there must not make an empty
/// database because of a mistyped path.
pub(super) fn must_exist(settings: &Settings) -> Result<(), Failure> {
    match &settings.database {
        DatabaseUrl::Sqlite(path) if !path.exists() => Err(Failure::Failed(format!(
            "DATABASE_URL: {}: there is no such file",
            path.display()
        ))),
        _ => Ok(()),
    }
}

/// `gatewright migrate`
pub(super) fn migrate() -> Result<(), Failure> {
    let settings = command_settings()?;
    runtime()?.block_on(current(&settings))?;
    io::print(&format!(
        "{}: the schema is current",
        settings.database.redacted()
    ))
}

/// 256 random bits as 43 characters of base64url.
pub(super) fn fresh_secret() -> String {
    URL_SAFE_NO_PAD.encode(Random::System.bytes::<32>())
}

/// An error with its causes, in one line.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut lines: Vec<_> = causes.map(ToString::to_string).collect();
    lines.dedup();
    lines.join(": ")
}
