//! `POST /api/auth/register`: story 1.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{Database, PASSWORD, TestApp};

on_both!(
    valid_data_makes_an_account_and_a_token,
    the_same_email_twice_is_refused,
    fifty_at_once_make_one_account,
);

// T015
async fn valid_data_makes_an_account_and_a_token(database: Database) {
    let app = TestApp::new(database).await;
    let sign_up = json!({"email": " Ann@Example.COM ", "name": " Ann ", "password": PASSWORD});
    let answer = app.anonymous().post("/api/auth/register", sign_up).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(answer.body["token_type"], "bearer");
    assert_eq!(answer.body["expires_in"], 604_800);
    assert_eq!(answer.body["user"]["email"], "ann@example.com");
    assert_eq!(answer.body["user"]["name"], "Ann");
    assert_eq!(answer.body["user"]["is_active"], true);
    assert_eq!(
        answer.body["user"]["created_at"],
        "2026-11-20T10:42:00.123Z"
    );
    let token = answer.body["access_token"].as_str().expect("a token");
    let profile = app
        .anonymous()
        .with_token(token)
        .get("/api/auth/profile")
        .await;
    assert_eq!((profile.status, &profile.body), (200, &answer.body["user"]));
}

// T016
async fn the_same_email_twice_is_refused(database: Database) {
    let app = TestApp::new(database).await;
    app.user("ann").await;
    let sign_up = json!({"email": "ANN@example.com", "name": "Other", "password": PASSWORD});
    let answer = app.anonymous().post("/api/auth/register", sign_up).await;
    assert_eq!(
        answer.refusal(),
        (409, "Email already registered", "email_taken")
    );
}

// T016, SEC-77
async fn fifty_at_once_make_one_account(database: Database) {
    let app = TestApp::new(database).await;
    let sign_up = json!({"email": "ann@example.com", "name": "Ann", "password": PASSWORD});
    let client = app.anonymous();
    let answers =
        join_all((0..50).map(|_| client.post("/api/auth/register", sign_up.clone()))).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    let refused = answers.iter().filter(|answer| answer.status == 409).count();
    assert_eq!((made, refused), (1, 49));
}
