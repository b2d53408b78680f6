//! The catalogue of errors: each one provoked for real, and each one documented.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse as _;
use futures_util::stream;
use gatewright::error::Error;
use gatewright::hash::Scheme;
use serde_json::json;

use super::{LOGIN, PROFILE, REGISTER, send, sign_in};
use crate::support::{Answer, Database, Options, PASSWORD, TestApp};

/// The one that takes fifteen seconds has a test of its own.
const SLOW: &str = "body_too_slow";

on_both!(every_error_looks_as_the_catalogue_says);

// T012, SEC-69
async fn every_error_looks_as_the_catalogue_says(database: Database) {
    let app = TestApp::new(database.clone()).await;
    let ann = app.user("ann").await;
    let nobody = app.anonymous();
    let sign_up = json!({"email": "ann@example.com", "name": "Ann", "password": PASSWORD});
    let mut answers = vec![
        nobody.with_body("POST", REGISTER, "{").await,
        nobody
            .post(
                REGISTER,
                json!({"email": "x", "name": "", "password": "short"}),
            )
            .await,
        nobody.post(REGISTER, sign_up).await,
        sign_in(&nobody, "bob@example.com", PASSWORD).await,
        nobody.get(PROFILE).await,
        nobody.with_token("x.y.z").get(PROFILE).await,
        nobody.get("/nothing").await,
        nobody.get(LOGIN).await,
        send(&nobody, "POST", LOGIN).await,
        nobody.with_body("POST", LOGIN, vec![b' '; 65_537]).await,
        nobody.get(&format!("/{}", "x".repeat(9000))).await,
    ];
    for _ in 0..10 {
        answers.push(sign_in(&nobody, "eve@example.com", PASSWORD).await);
    }
    let options = Options {
        scheme: Scheme::Bcrypt { cost: 15 },
        max_wait: Duration::from_millis(500),
        ..Options::default()
    };
    let full = TestApp::sharing(database, options, app.clock.clone()).await;
    let mut overloaded = sign_in(&full.anonymous(), "ann@example.com", PASSWORD).await;
    assert_ne!(
        overloaded.headers.remove("retry-after"),
        None,
        "how long depends on the processor"
    );
    overloaded
        .headers
        .insert("retry-after", "1".parse().expect("a number"));
    answers.extend([
        overloaded,
        sign_in(&nobody, "eve@example.com", PASSWORD).await,
    ]);
    app.app.phase.stop();
    answers.push(nobody.get("/ready").await);
    app.clock.advance_ms(604_800_000);
    answers.push(ann.get(PROFILE).await);
    app.clock.advance_ms(-604_800_000);
    app.database.execute("DELETE FROM users").await;
    answers.push(ann.get(PROFILE).await);
    app.database.execute("DROP TABLE limits").await;
    answers.push(sign_in(&nobody, "ann@example.com", PASSWORD).await);

    let seen = by_code(&answers);
    // The database's own failure needs a database that has one: see `failures`.
    let catalogue = Error::catalogue();
    let others = catalogue
        .iter()
        .map(Error::code)
        .filter(|code| ![SLOW, "database_unavailable"].contains(code));
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), sorted(others));
    let shown: String = seen.values().map(|answer| show(answer)).collect();
    insta::assert_snapshot!("catalogue", shown);
}

// REL-21
#[tokio::test]
async fn a_body_that_trickles_is_given_up() {
    let app = TestApp::new(Database::sqlite()).await;
    let client = app.anonymous();
    let request = client
        .request("POST", LOGIN)
        .header(CONTENT_TYPE, "application/json");
    let body = stream::unfold((), async |()| {
        tokio::time::sleep(Duration::from_millis(500)).await;
        Some((Ok::<_, std::io::Error>(Bytes::from_static(b" ")), ()))
    });
    let started = Instant::now();
    let answer = client
        .send(request.body(Body::from_stream(body)).expect("a request"))
        .await;
    assert_eq!(
        answer.refusal(),
        (408, "The body did not arrive in time", SLOW)
    );
    assert!(
        (15..18).contains(&started.elapsed().as_secs()),
        "{:?}",
        started.elapsed()
    );
}

// SEC-69: docs/errors.md has a row for each code, `| `code` | status | …`, and no other.
#[test]
fn the_documentation_lists_exactly_these() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors.md");
    let text = std::fs::read_to_string(file).expect("docs/errors.md");
    let rows = text.lines().filter_map(|line| {
        let mut cells = line
            .strip_prefix("| `")?
            .split('|')
            .map(|cell| cell.trim().trim_matches('`'));
        Some((cells.next()?, cells.next()?.parse::<u16>().ok()?))
    });
    let catalogue = Error::catalogue();
    let known = catalogue
        .into_iter()
        .map(|error| (error.code(), error.into_response().status().as_u16()));
    assert_eq!(sorted(rows), sorted(known));
}

fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<_> = items.collect();
    items.sort();
    items
}

fn by_code(answers: &[Answer]) -> BTreeMap<&str, &Answer> {
    answers
        .iter()
        .map(|answer| (answer.body["code"].as_str().expect("a code"), answer))
        .collect()
}

/// The whole answer but for the headers that every answer has.
fn show(answer: &Answer) -> String {
    let mut shown = format!("{}\n", answer.status);
    for (name, value) in &answer.headers {
        let everywhere = [
            "cache-control",
            "content-length",
            "content-security-policy",
            "referrer-policy",
            "x-content-type-options",
            "x-request-id",
        ];
        if !everywhere.contains(&name.as_str()) {
            writeln!(shown, "{name}: {}", value.to_str().expect("text"))
                .expect("a string takes all");
        }
    }
    let body = serde_json::to_string_pretty(&answer.body).expect("JSON");
    shown + &body + "\n\n"
}
