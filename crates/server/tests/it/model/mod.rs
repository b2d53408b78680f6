//! Random sequences of operations against a reference model, on both databases at once: all three give the same answers,
//! whatever happens in whatever order (REL-39).
//!
//! `GATEWRIGHT_TEST_MODEL_CASES` sets how many sequences there are, `GATEWRIGHT_TEST_MODEL_SEED` which ones; a failure
//! names its seed and the shortest sequence that still fails.

mod reference;

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use gatewright::auth::{self, Caller, Selector};
use gatewright::clock::FixedClock;
use gatewright::error::Error;
use gatewright::random::Random;
use gatewright::settings::{Purpose, Secrets, Settings, SettingsFlags, Sources};
use gatewright::store::User;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use serde_json::json;

use crate::support::{Answer, Database, Options, START_MS, TestApp};
use reference::{Model, Op, PASSWORDS, PEOPLE, Profile, Seen, text};

/// Enough for a few seconds in an unoptimised build.
const CASES: u32 = 60;

#[test]
fn the_model_and_both_databases_agree() {
    let seed = number("GATEWRIGHT_TEST_MODEL_SEED");
    let seed = seed.unwrap_or_else(|| u64::from_be_bytes(Random::System.bytes()));
    let wanted = number("GATEWRIGHT_TEST_MODEL_CASES");
    let cases = wanted.map_or(CASES, |cases| u32::try_from(cases).expect("not that many"));
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().expect("a runtime");
    let clock = FixedClock::at(START_MS);
    let worlds = runtime.block_on(async {
        let mut worlds = vec![World::new(Database::sqlite(), &clock).await];
        if let Some(database) = Database::postgres().await {
            worlds.push(World::new(database, &clock).await);
        }
        Mutex::new(worlds)
    });
    let config = ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let begun = Instant::now();
    let sequences = proptest::collection::vec(op(), 1..25);
    let outcome = TestRunner::new(config).run(&sequences, |ops| {
        let mut worlds = worlds.lock().unwrap_or_else(PoisonError::into_inner);
        runtime.block_on(run(&mut worlds, &clock, &ops))
    });
    if wanted.is_some() {
        let seconds = begun.elapsed().as_secs_f64();
        let _ = writeln!(std::io::stderr(), "{cases} sequences in {seconds:.1} s");
    }
    if let Err(failure) = outcome {
        panic!("GATEWRIGHT_TEST_MODEL_SEED={seed}: {failure}");
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long to look is for the caller of the tests to say"
)]
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
    )
}

fn op() -> impl Strategy<Value = Op> {
    let person = 0..PEOPLE;
    // Mostly one of two that are right somewhere, seldom the weak one.
    let password = prop_oneof![5 => Just(0_usize), 4 => Just(1), 1 => Just(2)];
    // The newest tokens are the interesting ones; some ask for one that was never given.
    let token = 0_usize..6;
    let day = 24 * 60 * 60 * 1000_i64;
    let wait = prop_oneof![
        Just(0),
        Just(1),
        Just(999),
        0..day,
        Just(7 * day - 1000),
        Just(7 * day)
    ];
    prop_oneof![
        18 => (person.clone(), password.clone(), 0..5_u8)
            .prop_map(|(person, password, name)| Op::Register { person, password, name }),
        15 => (person.clone(), password.clone()).prop_map(|(person, password)| Op::Login { person, password }),
        9 => token.clone().prop_map(|token| Op::Logout { token }),
        18 => token.clone().prop_map(|token| Op::Profile { token }),
        9 => (token, proptest::option::of(0..5_u8)).prop_map(|(token, name)| Op::Rename { token, name }),
        3 => person.clone().prop_map(|person| Op::Disable { person }),
        3 => person.clone().prop_map(|person| Op::Enable { person }),
        3 => person.clone().prop_map(|person| Op::Delete { person }),
        3 => (person, password).prop_map(|(person, password)| Op::SetPassword { person, password }),
        9 => wait.prop_map(|ms| Op::Wait { ms }),
        3 => proptest::bool::weighted(0.5).prop_map(|rotate| Op::Restart { rotate }),
        // A start costs as much as ten requests.
        1 => (0..PEOPLE, 0_usize..2, 0..4000_u64)
            .prop_map(|(person, password, after_us)| Op::Crash { person, password, after_us }),
        3 => Just(Op::Clean),
    ]
}

async fn run(worlds: &mut [World], clock: &FixedClock, ops: &[Op]) -> Result<(), TestCaseError> {
    let mut secret = 0;
    for world in &mut *worlds {
        world.begin();
        secret = secret.max(world.secret);
    }
    let now = worlds[0].app.app.clock.now_ms();
    let mut model = Model::new(now, secret);
    for op in ops {
        clock.advance_ms(op.takes_ms());
        let expected = model.apply(op);
        let all_seen = join_all(worlds.iter_mut().map(|world| world.apply(op))).await;
        for (world, seen) in worlds.iter().zip(all_seen) {
            let place = world.app.database.url();
            prop_assert_eq!(&seen, &expected, "{:?} on {}", op, place);
        }
    }
    Ok(())
}

/// A server on one of the databases. Cases share it; each has e-mails of its own.
struct World {
    app: TestApp,
    clock: FixedClock,
    case: u32,
    secret: u32,
    tokens: Vec<String>,
    ids: Vec<String>,
}

impl World {
    async fn new(database: Database, clock: &FixedClock) -> Self {
        let clock = clock.clone();
        Self {
            app: TestApp::sharing(database, options(1), clock.clone()).await,
            clock,
            case: 0,
            secret: 1,
            tokens: Vec::new(),
            ids: Vec::new(),
        }
    }

    fn begin(&mut self) {
        self.case += 1;
        self.tokens.clear();
        self.ids.clear();
    }

    async fn apply(&mut self, op: &Op) -> Seen {
        let client = self.app.anonymous();
        match *op {
            Op::Register {
                person,
                password,
                name,
            } => {
                let (email, password) = (self.email(person), PASSWORDS[password]);
                let body = json!({"email": email, "name": text(name), "password": password});
                let answer = client.post("/api/auth/register", body).await;
                self.see(&answer)
            }
            Op::Login { person, password } => {
                // Any spelling of an e-mail is the same account.
                let email = self.email(person).to_ascii_uppercase();
                let body = json!({"email": email, "password": PASSWORDS[password]});
                let answer = client.post("/api/auth/login", body).await;
                self.see(&answer)
            }
            Op::Logout { token } => {
                let answer = self.bearer(token).post("/api/auth/logout", json!({})).await;
                self.see(&answer)
            }
            Op::Profile { token } => {
                let answer = self.bearer(token).get("/api/auth/profile").await;
                self.see(&answer)
            }
            Op::Rename { token, name } => {
                let body = json!({"name": name.map(text)});
                let answer = self.bearer(token).put("/api/auth/profile", body).await;
                self.see(&answer)
            }
            Op::Wait { .. } => Seen::default(),
            Op::Restart { rotate } => {
                self.secret += u32::from(rotate);
                self.restart().await;
                Seen::default()
            }
            Op::Crash {
                person,
                password,
                after_us,
            } => self.crash(person, password, after_us).await,
            Op::Clean => {
                let now = self.app.app.clock.now_ms();
                let cleaned = self.app.app.store.delete_expired(now, 500).await;
                cleaned.expect("cleaned");
                Seen::default()
            }
            Op::Disable { person }
            | Op::Enable { person }
            | Op::Delete { person }
            | Op::SetPassword { person, .. } => match self.operate(op, person).await {
                Ok(()) => Seen::default(),
                Err(error) => Seen {
                    code: error.code().to_owned(),
                    ..Seen::default()
                },
            },
        }
    }

    async fn restart(&mut self) {
        let database = self.app.database.clone();
        self.app = TestApp::sharing(database, options(self.secret), self.clock.clone()).await;
    }

    async fn crash(&mut self, person: usize, password: usize, after_us: u64) -> Seen {
        let (email, password) = (self.email(person), PASSWORDS[password]);
        let sign_in = json!({"email": email, "password": password});
        let mut sign_up = sign_in.clone();
        sign_up["name"] = json!("Crash");
        let client = self.app.anonymous();
        let lost = client.post("/api/auth/register", sign_up.clone());
        let _ = tokio::time::timeout(Duration::from_micros(after_us), lost).await;
        self.restart().await;
        let client = self.app.anonymous();
        let again = client.post("/api/auth/register", sign_up).await;
        assert!([201, 409].contains(&again.status), "{}", again.text);
        let answer = client.post("/api/auth/login", sign_in).await;
        let _ = self.operate(&Op::Delete { person }, person).await;
        let code = answer.body["code"].as_str().unwrap_or_default();
        Seen {
            status: answer.status,
            code: code.to_owned(),
            user: None,
        }
    }

    /// What an operator does on the command line.
    async fn operate(&self, op: &Op, person: usize) -> Result<(), Error> {
        let app = &self.app.app;
        let caller = Caller {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            request_id: "".into(),
        };
        let selector: Selector = self.email(person).parse().expect("an e-mail");
        let user: User = auth::find(app, &selector).await?;
        match *op {
            Op::Disable { .. } => auth::disable(app, user.id, &caller).await,
            Op::Enable { .. } => auth::enable(app, user.id, &caller).await,
            Op::Delete { .. } => auth::delete(app, user.id, &caller).await,
            Op::SetPassword { password, .. } => {
                auth::set_password(app, &user, PASSWORDS[password], &caller).await
            }
            _ => Ok(()),
        }
    }

    fn email(&self, person: usize) -> String {
        format!("person{person}@case{}.example", self.case)
    }

    fn bearer(&self, back: usize) -> crate::support::Client {
        let client = self.app.anonymous();
        match self.tokens.iter().rev().nth(back) {
            Some(token) => client.with_token(token),
            None => client,
        }
    }

    fn see(&mut self, answer: &Answer) -> Seen {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        if let Some(token) = answer.body["access_token"].as_str() {
            self.tokens.push(token.to_owned());
        }
        let signed_in = answer.body.get("user");
        let user = signed_in.or_else(|| answer.body.get("email").map(|_| &answer.body));
        let user = user.map(|user| {
            let (id, email) = (text(&user["id"]), text(&user["email"]));
            if answer.status == 201 {
                self.ids.push(id.clone());
            }
            let moment = |name: &str| {
                let moment: jiff::Timestamp = text(&user[name]).parse().expect("RFC 3339");
                moment.as_millisecond()
            };
            let is_persons = |person: &usize| self.email(*person) == email;
            Profile {
                number: self
                    .ids
                    .iter()
                    .position(|known| *known == id)
                    .expect("a known id"),
                person: (0..PEOPLE).find(is_persons).expect("a known e-mail"),
                name: text(&user["name"]),
                is_active: user["is_active"] == true,
                created_at: moment("created_at"),
                updated_at: moment("updated_at"),
            }
        });
        let (status, code) = (answer.status, text(&answer.body["code"]));
        Seen { status, code, user }
    }
}

/// Secrets `version` and the one before it; no limits, which would need a page of their own.
fn options(version: u32) -> Options {
    let secret = |version: u32| format!("{version}:model-secret-{version:08}-0123456789abcdef");
    let both = [secret(version), secret(version - 1)].join(",");
    let sources = Sources {
        environment: vec![("BETTER_AUTH_SECRETS".into(), both.into())],
        dot_env: None,
    };
    let settings = Settings::load(&SettingsFlags::default(), &sources, Purpose::Serve);
    let secrets: Option<Secrets> = settings.expect("good settings").secrets;
    Options {
        secrets: secrets.expect("secrets"),
        login_failures: 1_000_000,
        client_failures: None,
        ..Options::default()
    }
}
