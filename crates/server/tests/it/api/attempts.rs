//! Attempts whose outcome is open: what they count while they last, and what is left when they end.

use std::time::Duration;

use gatewright::settings::RateLimit;
use tokio::task::JoinHandle;

use super::{ANN, sign_in, store_hash};
use crate::support::{Client, Database, Options, PASSWORD, TestApp};

const BOB: &str = "bob@example.com";
const WRONG: &str = "wrong-horse-7";

on_both!(
    a_wait_counts_from_the_answer,
    an_attempt_that_nobody_could_judge_is_no_failure,
    clients_wait_for_attempts_that_may_clear_their_count,
    accounts_wait_for_attempts_that_may_clear_their_count,
);

fn strict() -> Options {
    Options {
        login_failures: 1,
        ..Options::default()
    }
}

/// Begins a sign-in of Ann that takes some hundred milliseconds; its hash is running.
async fn begin(app: &TestApp, client: Client, password: &'static str) -> JoinHandle<u16> {
    let slow = bcrypt::hash(PASSWORD, 12).expect("a hash");
    store_hash(app, ANN, &slow).await;
    let attempt = tokio::spawn(async move { sign_in(&client, ANN, password).await.status });
    while app.app.hasher.load().running == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    attempt
}

// SEC-14: however long the hash takes, the guesser waits after it.
async fn a_wait_counts_from_the_answer(database: Database) {
    let app = TestApp::with(database, strict()).await;
    app.user("ann").await;
    let attempt = begin(&app, app.anonymous(), WRONG).await;
    app.clock.advance_ms(10_000);
    assert_eq!(attempt.await.expect("an answer"), 401);
    let next = sign_in(&app.anonymous(), ANN, WRONG).await;
    assert_eq!((next.status, next.header("retry-after")), (429, "1"));
}

// REL-09
async fn an_attempt_that_nobody_could_judge_is_no_failure(database: Database) {
    let app = TestApp::with(database, strict()).await;
    app.user("ann").await;
    app.database
        .execute("ALTER TABLE users RENAME TO away")
        .await;
    assert!(sign_in(&app.anonymous(), ANN, PASSWORD).await.status >= 500);
    app.database
        .execute("ALTER TABLE away RENAME TO users")
        .await;
    // It is taken back after the answer; the clock stands still, so no wait can end meanwhile.
    let mut status = 429;
    for _ in 0..500 {
        status = sign_in(&app.anonymous(), ANN, PASSWORD).await.status;
        if status != 429 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(status, 200);
}

// SEC-17
async fn clients_wait_for_attempts_that_may_clear_their_count(database: Database) {
    let limit = RateLimit {
        count: 4,
        period: Duration::from_secs(60),
    };
    let options = Options {
        client_failures: Some(limit),
        ..Options::default()
    };
    let app = TestApp::with(database, options).await;
    // Sign-ups count for the client too: one failure is left to it after these.
    app.user("ann").await;
    app.user("bob").await;
    assert_eq!(sign_in(&app.anonymous(), BOB, WRONG).await.status, 401);
    let attempt = begin(&app, app.anonymous(), PASSWORD).await;
    assert_eq!(sign_in(&app.anonymous(), BOB, PASSWORD).await.status, 200);
    assert_eq!(attempt.await.expect("an answer"), 200);
}

// SEC-16
async fn accounts_wait_for_attempts_that_may_clear_their_count(database: Database) {
    let app = TestApp::with(database, strict()).await;
    app.user("ann").await;
    // Nine of the ten failures that an account may have from everywhere.
    for number in 1..10 {
        let stranger = app.anonymous().at(&format!("198.51.100.{number}"));
        assert_eq!(sign_in(&stranger, ANN, WRONG).await.status, 401);
    }
    let attempt = begin(&app, app.anonymous(), PASSWORD).await;
    let elsewhere = app.anonymous().at("203.0.113.1");
    assert_eq!(sign_in(&elsewhere, ANN, PASSWORD).await.status, 200);
    assert_eq!(attempt.await.expect("an answer"), 200);
}
