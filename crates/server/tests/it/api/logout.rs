//! `POST /api/auth/logout`: story 3.

use axum::body::Body;
use serde_json::json;

use super::{ANN, LOGOUT, PROFILE, assert_unauthorized, token_of};
use crate::support::{Answer, Client, Database, TestApp};

on_both!(
    signing_out_ends_this_session_alone,
    a_body_makes_no_difference,
    signing_out_needs_a_good_token,
    fifty_sign_outs_at_once,
);

async fn sign_out(client: &Client) -> Answer {
    client
        .send(
            client
                .request("POST", LOGOUT)
                .body(Body::empty())
                .expect("a request"),
        )
        .await
}

// T046, SEC-37
async fn signing_out_ends_this_session_alone(database: Database) {
    let app = TestApp::new(database).await;
    let (ann, bob) = (app.user("ann").await, app.user("bob").await);
    let phone = app.anonymous().with_token(&token_of(&app, ANN).await);
    let answer = sign_out(&ann).await;
    assert_eq!(
        (answer.status, answer.text.as_str()),
        (200, r#"{"message":"Logged out successfully"}"#)
    );
    for client in [&phone, &bob] {
        assert_eq!(client.get(PROFILE).await.status, 200);
    }
    assert_unauthorized(&ann.get(PROFILE).await, "Invalid token", "profile");
    assert_unauthorized(
        &ann.put(PROFILE, json!({"name": "x"})).await,
        "Invalid token",
        "rename",
    );
    assert_unauthorized(&sign_out(&ann).await, "Invalid token", "a second sign-out");
    assert_eq!(phone.get(PROFILE).await.body["name"], "ann");
}

async fn a_body_makes_no_difference(database: Database) {
    let app = TestApp::new(database).await;
    app.user("ann").await;
    for body in [
        "",
        "{}",
        "not JSON",
        r#"{"sid": "00000000-0000-0000-0000-000000000000"}"#,
    ] {
        let client = app.anonymous().with_token(&token_of(&app, ANN).await);
        assert_eq!(
            client.with_body("POST", LOGOUT, body).await.status,
            200,
            "{body:?}"
        );
        assert_eq!(client.get(PROFILE).await.status, 401, "{body:?}");
    }
}

// T050, SEC-73
async fn signing_out_needs_a_good_token(database: Database) {
    let app = TestApp::new(database).await;
    let ann = app.user("ann").await;
    assert_unauthorized(
        &sign_out(&app.anonymous()).await,
        "Not authenticated",
        "none",
    );
    assert_unauthorized(
        &sign_out(&app.anonymous().with_token("x.y.z")).await,
        "Invalid token",
        "nonsense",
    );
    app.clock.advance_ms(604_800_000);
    assert_unauthorized(&sign_out(&ann).await, "Token has expired", "expired");
}

// REL-38: whoever was told so is out; nobody gets a defect.
async fn fifty_sign_outs_at_once(database: Database) {
    let app = TestApp::new(database).await;
    let ann = app.user("ann").await;
    let answers = futures_util::future::join_all((0..50).map(|_| sign_out(&ann))).await;
    assert!(
        answers
            .iter()
            .all(|answer| [200, 401].contains(&answer.status))
    );
    assert!(answers.iter().any(|answer| answer.status == 200));
    assert_eq!(ann.get(PROFILE).await.status, 401);
}
