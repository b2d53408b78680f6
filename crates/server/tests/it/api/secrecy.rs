//! What nobody may find: in the log at its most talkative, and in a dump of the database (T066).

use std::cell::RefCell;
use std::io;
use std::sync::Once;

use gatewright::auth::Caller;
use serde_json::{Value, json};
use tokio_postgres::NoTls;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::{ANN, LOGOUT, PROFILE, REGISTER, send, sign_in, stored_hash, text};
use crate::support::{Client, Database, SECRET, TestApp};

const PASSWORD: &str = "sesame-open-4711";
const WRONG: &str = "sesame-shut-0815";
/// What a log must not be made to do: end a line, colour a terminal, forge an event.
const NASTY: &str = "eve\r\n\u{1b}[31m{\"event\":\"login\"}\u{85}@example.com";

thread_local! {
    /// The log of the test on this thread, if it keeps one: as JSON lines and as text.
    static LOG: RefCell<Option<[Vec<u8>; 2]>> = const { RefCell::new(None) };
}

/// Writes to the log of this thread.
struct Kept(usize);

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.with_borrow_mut(|log| {
            if let Some(log) = log {
                log[self.0].extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One subscriber for the whole program, at its most talkative: scoped ones miss events that other threads had switched
/// off for themselves.
fn keep_logs() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let json = fmt::layer()
            .json()
            .flatten_event(true)
            .with_writer(|| Kept(0));
        let text = fmt::layer().with_ansi(false).with_writer(|| Kept(1));
        tracing_subscriber::registry().with(json).with(text).init();
    });
    LOG.set(Some(Default::default()));
}

fn kept_logs() -> [String; 2] {
    let log = LOG.take().expect("a log");
    log.map(|bytes| String::from_utf8(bytes).expect("UTF-8"))
}

/// Everything that a visit can leave in a log or a database: what it says to whom.
struct Visit {
    tokens: Vec<String>,
    user_id: String,
    hash: String,
}

async fn visit(app: &TestApp) -> Visit {
    let nobody = app.anonymous();
    let sign_up = json!({"email": ANN, "name": "Ann", "password": PASSWORD});
    let answer = nobody.post(REGISTER, sign_up.clone()).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let (registered, user_id) = (
        text(&answer.body["access_token"]),
        text(&answer.body["user"]["id"]),
    );
    let ann = nobody.with_token(&registered);
    nobody.post(REGISTER, sign_up).await;
    nobody
        .post(
            REGISTER,
            json!({"email": NASTY, "name": NASTY, "password": WRONG}),
        )
        .await;
    let mut hostile: Vec<Client> = vec![nobody.with_token(&format!("{registered}x"))];
    hostile.push(nobody.with_token("x.y.z"));
    for client in &hostile {
        assert_eq!(client.get(PROFILE).await.status, 401);
    }
    ann.put(PROFILE, json!({"name": "Ann Lee"})).await;
    ann.put(PROFILE, json!({"name": NASTY})).await;
    let answer = sign_in(&nobody, ANN, PASSWORD).await;
    let signed_in = text(&answer.body["access_token"]);
    for _ in 0..11 {
        sign_in(&nobody, ANN, WRONG).await;
    }
    sign_in(&nobody, NASTY, WRONG).await;
    nobody
        .with_body(
            "POST",
            REGISTER,
            format!("{{\"password\": \"{PASSWORD}\", \"x"),
        )
        .await;
    nobody
        .get(&format!("/api/auth/{PASSWORD}?token={registered}"))
        .await;
    let hash = stored_hash(app, ANN).await.expect("a hash");
    send(&ann, "POST", LOGOUT).await;
    let operator = Caller {
        address: [127, 0, 0, 1].into(),
        request_id: "operator".into(),
    };
    let id = user_id.parse().expect("a UUID");
    gatewright::auth::disable(&app.app, id, &operator)
        .await
        .expect("a user");
    app.database.execute("DROP TABLE limits").await;
    assert_eq!(sign_in(&nobody, ANN, PASSWORD).await.status, 500);
    Visit {
        tokens: vec![registered, signed_in],
        user_id,
        hash,
    }
}

/// Runs the visit on this thread, where the log is kept.
fn check_log(database: impl AsyncFn() -> Option<Database>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let Some(database) = database().await else {
            return;
        };
        let app = TestApp::new(database).await;
        keep_logs();
        let visit = visit(&app).await;
        let [json, text] = kept_logs();
        no_secret_is_logged(&visit, &json);
        no_secret_is_logged(&visit, &text);
        every_event_is_audited(&visit, &json);
    });
}

// SEC-84
fn no_secret_is_logged(visit: &Visit, log: &str) {
    assert!(log.lines().count() > 20, "there is a log: {log}");
    let mut secrets = vec![
        PASSWORD,
        WRONG,
        SECRET,
        "$2b$",
        "$argon2",
        ANN,
        visit.hash.as_str(),
        "DROP",
        "SELECT",
    ];
    secrets.extend(visit.tokens.iter().flat_map(|token| token.split('.')));
    for secret in secrets {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
    for line in log.split('\n') {
        assert!(
            !line.chars().any(char::is_control),
            "a raw control character: {line:?}"
        );
        assert!(
            !line.starts_with('{') || serde_json::from_str::<Value>(line).is_ok(),
            "{line}"
        );
    }
}

// SEC-83
fn every_event_is_audited(visit: &Visit, log: &str) {
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON line"))
        .collect();
    let events: Vec<&Value> = lines
        .iter()
        .filter(|line| line["target"] == "audit")
        .collect();
    for (event, result, count) in [
        ("register", "success", 1),
        ("register", "failure", 1),
        ("login", "success", 1),
        ("login", "failure", 11),
        ("login", "throttled", 1),
        ("profile.update", "success", 1),
        ("logout", "success", 1),
        ("user.disable", "success", 1),
    ] {
        let found: Vec<_> = events
            .iter()
            .filter(|line| line["event"] == event && line["result"] == result)
            .collect();
        assert_eq!(found.len(), count, "{event} {result}: {log}");
        for line in found {
            assert!(
                line["timestamp"]
                    .as_str()
                    .is_some_and(|time| time.ends_with('Z')),
                "UTC: {line}"
            );
            let client = if event.starts_with("user.") {
                "127.0.0.1"
            } else {
                "192.0.2.1"
            };
            assert_eq!(line["client"], client);
            assert!(line["request_id"].is_string());
            if result == "success" {
                assert_eq!(line["user_id"], visit.user_id.as_str());
            } else {
                assert_eq!(
                    line["email_digest"].as_str().map(str::len),
                    Some(32),
                    "{line}"
                );
            }
        }
    }
    assert_eq!(events.len(), 18, "{events:?}");
    every_request_has_a_line(&lines, &events);
}

/// One line for each request, by the same id as its events and its answer.
fn every_request_has_a_line(lines: &[Value], events: &[&Value]) {
    let requests: Vec<&Value> = lines
        .iter()
        .filter(|line| line["target"] == "http")
        .collect();
    let failed = requests
        .iter()
        .find(|line| line["status"] == 500)
        .expect("the defect is logged");
    assert_eq!(
        (&failed["level"], &failed["code"]),
        (&json!("ERROR"), &json!("internal_error"))
    );
    assert!(
        failed["cause"]
            .as_str()
            .is_some_and(|cause| cause.contains("limits")),
        "{failed}"
    );
    let ids: std::collections::BTreeSet<_> = requests
        .iter()
        .map(|line| text(&line["request_id"]))
        .collect();
    assert_eq!(ids.len(), requests.len());
    let named = |event: &&&Value| ids.contains(event["request_id"].as_str().expect("text"));
    assert_eq!(
        events.iter().filter(named).count(),
        events.len() - 1,
        "all but the operator's"
    );
}

#[test]
fn the_log_on_sqlite() {
    check_log(async || Some(Database::sqlite()));
}

#[test]
fn the_log_on_postgres() {
    check_log(Database::postgres);
}

on_both!(a_dump_of_the_database_opens_nothing);

// SEC-35, T066
async fn a_dump_of_the_database_opens_nothing(database: Database) {
    let app = TestApp::new(database.clone()).await;
    let nobody = app.anonymous();
    let long = format!("{PASSWORD}{}", "x".repeat(80));
    let mut tokens = Vec::new();
    for (email, password) in [(ANN, PASSWORD), ("bob@example.com", long.as_str())] {
        let answer = nobody
            .post(
                REGISTER,
                json!({"email": email, "name": "x", "password": password}),
            )
            .await;
        tokens.push(text(&answer.body["access_token"]));
        sign_in(&nobody, email, WRONG).await;
        let answer = sign_in(&nobody, "nobody@example.com", password).await;
        assert_eq!(answer.status, 401);
    }
    let dump = dump(&database).await;
    assert!(
        dump.contains(ANN) && dump.contains("$2b$04$") && dump.contains("$argon2id$"),
        "{dump}"
    );
    for secret in [PASSWORD, WRONG, SECRET, "nobody@example.com", "192.0.2.1"] {
        assert!(!dump.contains(secret), "{secret} is in the database");
    }
    for part in tokens.iter().flat_map(|token| token.split('.')) {
        assert!(!dump.contains(part), "{part} is in the database");
    }
    // Ids alone are no credentials.
    for id in [0, 1].map(|index| text(&super::token_part(&tokens[index], 1)["sid"])) {
        assert_eq!(nobody.with_token(&id).get(PROFILE).await.status, 401);
    }
}

/// Everything that is stored, as text.
async fn dump(database: &Database) -> String {
    if let Some(file) = database.file() {
        let wal = file.with_extension("db-wal");
        let bytes = [
            std::fs::read(file).expect("the file"),
            std::fs::read(wal).unwrap_or_default(),
        ]
        .concat();
        return String::from_utf8_lossy(&bytes).into_owned();
    }
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls)
        .await
        .expect("PostgreSQL");
    tokio::spawn(connection);
    let mut dump = String::new();
    for table in ["users", "sessions", "limits", "schema_migrations"] {
        let rows = client
            .query(&format!("SELECT t::text FROM {table} t"), &[])
            .await
            .expect("a table");
        rows.iter().for_each(|row| dump.push_str(row.get(0)));
    }
    dump
}
