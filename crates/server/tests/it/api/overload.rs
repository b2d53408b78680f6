//! When the hashing queue is full (SPEC §1, overload).

use std::time::Duration;

use gatewright::hash::Scheme;
use serde_json::json;

use super::{ANN, PROFILE, REGISTER, sign_in, stored_hash};
use crate::support::{Database, Options, PASSWORD, TestApp};

on_both!(
    who_would_wait_too_long_is_told_so_at_the_door,
    hanging_up_gives_the_place_back
);

// SEC-09, SEC-13, REL-18
async fn who_would_wait_too_long_is_told_so_at_the_door(database: Database) {
    let app = TestApp::new(database.clone()).await;
    let ann = app.user("ann").await;
    let before = stored_hash(&app, ANN).await;
    // A hash of cost 12 is predicted to take longer than this by every processor there is.
    let options = Options {
        scheme: Scheme::Bcrypt { cost: 12 },
        max_wait: Duration::from_millis(1),
        ..Options::default()
    };
    let full = TestApp::sharing(database, options, app.clock.clone()).await;
    let nobody = full.anonymous();
    let sign_up = json!({"email": "bob@example.com", "name": "Bob", "password": PASSWORD});
    for answer in [
        sign_in(&nobody, ANN, PASSWORD).await,
        sign_in(&nobody, ANN, "wrong-horse-7").await,
        sign_in(&nobody, "nobody@example.com", PASSWORD).await,
        nobody.post(REGISTER, sign_up).await,
    ] {
        let expected = (
            503,
            "Too many sign-ins at the moment, try again soon",
            "overloaded",
        );
        assert_eq!(answer.refusal(), expected);
        assert!(
            answer
                .header("retry-after")
                .parse::<u64>()
                .expect("whole seconds")
                >= 1
        );
    }
    assert_eq!(full.app.hasher.load().hashes, 0, "before any hashing");
    // Nothing was counted, and nothing else slows down.
    for _ in 0..30 {
        assert_eq!(sign_in(&nobody, ANN, "wrong-horse-7").await.status, 503);
    }
    assert_eq!(
        sign_in(&app.anonymous(), ANN, PASSWORD).await.status,
        200,
        "no failure was counted"
    );
    let token = ann.token.expect("a token");
    assert_eq!(
        full.anonymous()
            .with_token(&token)
            .get(PROFILE)
            .await
            .status,
        200
    );
    assert_eq!(
        full.anonymous()
            .with_token(&token)
            .put(PROFILE, json!({"name": "Ann"}))
            .await
            .status,
        200
    );
    assert_eq!(nobody.get("/health").await.status, 200);
    assert_eq!(nobody.get("/ready").await.status, 200);
    assert_eq!(stored_hash(&app, ANN).await, before);
}

// REL-24
async fn hanging_up_gives_the_place_back(database: Database) {
    let app = TestApp::new(database).await;
    app.user("ann").await;
    super::store_hash(&app, ANN, &bcrypt::hash(PASSWORD, 10).expect("a hash")).await;
    let attempts: Vec<_> = (0..40)
        .map(|number| {
            let client = app.anonymous().at(&format!("198.51.100.{number}"));
            tokio::spawn(async move { sign_in(&client, ANN, PASSWORD).await.status })
        })
        .collect();
    while app.app.hasher.load().running == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for attempt in &attempts {
        attempt.abort();
    }
    for attempt in attempts {
        let _ = attempt.await;
    }
    // What runs is finished; what waits is dropped unhashed.
    let started = std::time::Instant::now();
    while app.app.hasher.load().places > 0 {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{:?}",
            app.app.hasher.load()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(
        app.app.hasher.load().hashes < 30,
        "{:?}",
        app.app.hasher.load()
    );
    assert!(app.app.gate.is_empty());
    assert_eq!(sign_in(&app.anonymous(), ANN, PASSWORD).await.status, 200);
}
