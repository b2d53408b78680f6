//! What tests are written in: databases, an app with a hand-moved clock, and clients that speak as users.

mod client;
mod database;

pub(crate) use client::{Answer, Client};
pub(crate) use database::{Database, authority};

use std::cell::Cell;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use gatewright::app::{App, Phase};
use gatewright::auth::{Gate, LimitSettings, Pace, Tokens};
use gatewright::clock::{Clock, FixedClock};
use gatewright::hash::{Hasher, HasherSettings, Scheme};
use gatewright::http::{Edge, router};
use gatewright::random::Random;
use gatewright::settings::{PasswordPolicy, RateLimit, Secret, Secrets};
use serde_json::json;

/// Runs each named `async fn(Database)` once on SQLite and once on PostgreSQL.
#[macro_export]
macro_rules! on_both {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test($crate::support::Database::sqlite()).await; })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                if let Some(database) = $crate::support::Database::postgres().await {
                    super::$test(database).await;
                }
            })+
        }
    };
}

/// The secret that test tokens are signed with.
pub(crate) const SECRET: &str = "test-secret-0123456789abcdef-0123456789";
/// 2026-11-20T10:42:00.123Z: where every test's clock starts.
pub(crate) const START_MS: i64 = 1_795_171_320_123;
/// A password that policy `spec` accepts.
pub(crate) const PASSWORD: &str = "correct-horse-7";

/// What differs from the defaults in a test.
pub(crate) struct Options {
    pub(crate) secrets: Secrets,
    pub(crate) token_ttl: Duration,
    pub(crate) accept_foreign_tokens: bool,
    pub(crate) scheme: Scheme,
    pub(crate) max_wait: Duration,
    pub(crate) password_policy: PasswordPolicy,
    pub(crate) login_failures: u32,
    pub(crate) client_failures: Option<RateLimit>,
    pub(crate) trusted_proxies: Vec<ipnet::IpNet>,
    pub(crate) cors_origins: Vec<String>,
    pub(crate) docs: bool,
    /// The database has not been reached yet.
    pub(crate) starting: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            secrets: Secrets::single(Secret::new(SECRET).expect("a strong secret")),
            token_ttl: Duration::from_secs(604_800),
            accept_foreign_tokens: false,
            // The cheapest that bcrypt has; one slow test pays the real cost.
            scheme: Scheme::Bcrypt { cost: 4 },
            max_wait: Duration::from_secs(60),
            password_policy: PasswordPolicy::Spec,
            login_failures: 10,
            client_failures: Some(RateLimit {
                count: 100,
                period: Duration::from_secs(60),
            }),
            trusted_proxies: Vec::new(),
            cors_origins: Vec::new(),
            docs: false,
            starting: false,
        }
    }
}

/// A whole server in memory, on a database of its own.
pub(crate) struct TestApp {
    pub(crate) app: Arc<App>,
    pub(crate) clock: FixedClock,
    pub(crate) router: Router,
    pub(crate) database: Database,
}

impl TestApp {
    /// An app with default options. Randomness is seeded from the test's name.
    pub(crate) async fn new(database: Database) -> Self {
        Self::with(database, Options::default()).await
    }

    pub(crate) async fn with(database: Database, options: Options) -> Self {
        let clock = FixedClock::at(START_MS);
        Self::sharing(database, options, clock).await
    }

    /// An app on a database and clock that other apps may use too: another instance.
    pub(crate) async fn sharing(database: Database, options: Options, clock: FixedClock) -> Self {
        let hasher = Hasher::start(HasherSettings {
            scheme: options.scheme,
            workers: 1,
            lanes: Some(4),
            max_wait: options.max_wait,
            max_waiting: 4096,
        });
        let random = Random::seeded(seed());
        let app = Arc::new(App {
            store: database.store().await,
            clock: Clock::Fixed(clock.clone()),
            random: random.clone(),
            hasher: hasher.expect("hashing threads"),
            tokens: Tokens::new(
                &options.secrets,
                options.token_ttl,
                options.accept_foreign_tokens,
            )
            .expect("good keys"),
            limits: LimitSettings {
                login_failures: options.login_failures,
                client_failures: options.client_failures,
            },
            gate: Gate::default(),
            pace: Pace::default(),
            password_policy: options.password_policy,
            phase: Phase::default(),
        });
        if !options.starting {
            app.phase.run();
        }
        let edge = Edge::new(options.trusted_proxies, &random);
        let router = router(app.clone(), edge, &options.cors_origins, options.docs);
        Self {
            app,
            clock,
            router,
            database,
        }
    }

    /// A client without a token, at 192.0.2.1.
    pub(crate) fn anonymous(&self) -> Client {
        Client::new(self.router.clone())
    }

    /// Signs `name`@example.com up and speaks as that user.
    pub(crate) async fn user(&self, name: &str) -> Client {
        let email = format!("{name}@example.com");
        let sign_up = json!({"email": email, "name": name, "password": PASSWORD});
        let answer = self.anonymous().post("/api/auth/register", sign_up).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        self.anonymous()
            .with_token(answer.body["access_token"].as_str().expect("a token"))
    }
}

/// The same for every run of a test, another for every test and for every app in it.
fn seed() -> u64 {
    thread_local!(static APPS: Cell<u64> = const { Cell::new(0) });
    let number = APPS.replace(APPS.get() + 1);
    let mut hasher = DefaultHasher::new();
    (std::thread::current().name(), number).hash(&mut hasher);
    hasher.finish()
}
