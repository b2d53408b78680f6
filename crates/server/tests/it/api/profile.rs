//! `GET` and `PUT /api/auth/profile`: story 5.

use serde_json::{Value, json};

use super::{ANN, LOGOUT, PROFILE, assert_unauthorized, sign_in};
use crate::support::{Database, PASSWORD, TestApp};

on_both!(
    the_profile_shows_the_user_and_nothing_else,
    a_new_name_moves_updated_at,
    an_absent_or_null_name_leaves_it,
    bad_names_change_nothing,
    nothing_but_the_name_can_be_changed,
    updated_at_moves_although_the_clock_does_not,
    only_a_deleted_user_is_not_found,
    renames_at_once_all_succeed,
);

// T053, T054
async fn the_profile_shows_the_user_and_nothing_else(database: Database) {
    let app = TestApp::new(database).await;
    let (ann, bob) = (app.user("ann").await, app.user("bob").await);
    for (client, name) in [(&ann, "ann"), (&bob, "bob")] {
        let answer = client.get(PROFILE).await;
        assert_eq!(answer.status, 200);
        let user = answer.body.as_object().expect("an object");
        let mut members: Vec<_> = user.keys().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(
            members,
            [
                "created_at",
                "email",
                "id",
                "is_active",
                "name",
                "updated_at"
            ]
        );
        assert_eq!(
            (&user["name"], &user["email"]),
            (&json!(name), &json!(format!("{name}@example.com")))
        );
        let id: uuid::Uuid = user["id"].as_str().expect("text").parse().expect("a UUID");
        assert_eq!(id.get_version_num(), 7);
    }
    assert_unauthorized(
        &app.anonymous().get(PROFILE).await,
        "Not authenticated",
        "GET",
    );
    assert_unauthorized(
        &app.anonymous().put(PROFILE, json!({"name": "x"})).await,
        "Not authenticated",
        "PUT",
    );
    // The token is looked at before the body: a stranger learns nothing about either.
    let answer = app.anonymous().with_body("PUT", PROFILE, "not JSON").await;
    assert_unauthorized(&answer, "Not authenticated", "PUT");
}

// T055, T059
async fn a_new_name_moves_updated_at(database: Database) {
    let app = TestApp::new(database).await;
    let (ann, bob) = (app.user("ann").await, app.user("bob").await);
    let before = ann.get(PROFILE).await.body;
    let untouched = bob.get(PROFILE).await.body;
    app.clock.advance_ms(1500);
    let answer = ann
        .put(PROFILE, json!({"name": " \u{3000}Ann L\u{e9}e \t"}))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.body["name"], "Ann L\u{e9}e");
    assert_eq!(answer.body["updated_at"], "2026-11-20T10:42:01.623Z");
    for member in ["id", "email", "created_at", "is_active"] {
        assert_eq!(answer.body[member], before[member], "{member}");
    }
    assert_eq!(ann.get(PROFILE).await.body, answer.body);
    assert_eq!(
        bob.get(PROFILE).await.body,
        untouched,
        "nobody else is renamed"
    );
    // The password is still the same.
    assert_eq!(
        sign_in(&app.anonymous(), ANN, PASSWORD).await.body["user"],
        answer.body
    );
}

// T057
async fn an_absent_or_null_name_leaves_it(database: Database) {
    let app = TestApp::new(database).await;
    let ann = app.user("ann").await;
    let mut last = ann.get(PROFILE).await.body["updated_at"].clone();
    for body in [json!({}), json!({"name": null}), json!({"nam": "Eve"})] {
        app.clock.advance_ms(10);
        let answer = ann.put(PROFILE, body.clone()).await;
        assert_eq!(
            (answer.status, &answer.body["name"]),
            (200, &json!("ann")),
            "{body}"
        );
        assert!(answer.body["updated_at"].as_str() > last.as_str(), "{body}");
        last = answer.body["updated_at"].clone();
    }
}

// T056, SEC-05, SEC-67
async fn bad_names_change_nothing(database: Database) {
    let app = TestApp::new(database).await;
    let ann = app.user("ann").await;
    let before = ann.get(PROFILE).await.body;
    app.clock.advance_ms(1000);
    let long = "n".repeat(101);
    for (name, detail) in [
        (json!(""), "Name must not be empty"),
        (json!(" \u{2003}"), "Name must not be empty"),
        (json!(long), "Name must be at most 100 characters"),
        (json!("a\0"), "Name must not contain control characters"),
        (json!("a\rb"), "Name must not contain control characters"),
        (json!(1), "Name must be a string"),
        (json!(true), "Name must be a string"),
        (json!(["a"]), "Name must be a string"),
        (json!({}), "Name must be a string"),
    ] {
        let answer = ann.put(PROFILE, json!({"name": name})).await;
        assert_eq!(
            answer.refusal(),
            (400, detail, "validation_failed"),
            "{name}"
        );
        assert_eq!(
            answer.body["errors"],
            json!([{"field": "name", "message": detail}])
        );
    }
    for body in [json!([]), json!("name"), Value::Null] {
        assert_eq!(
            ann.put(PROFILE, body).await.refusal(),
            (400, "The body must be a JSON object", "malformed_body")
        );
    }
    assert_eq!(ann.get(PROFILE).await.body, before);
}

// SEC-67
async fn nothing_but_the_name_can_be_changed(database: Database) {
    let app = TestApp::new(database).await;
    let ann = app.user("ann").await;
    let bob = app.user("bob").await.get(PROFILE).await.body;
    let before = ann.get(PROFILE).await.body;
    let body = json!({
        "id": bob["id"], "user_id": bob["id"], "sub": bob["id"], "email": "eve@example.com", "is_active": false,
        "disabled_at": 1, "created_at": "2001-01-01T00:00:00Z", "updated_at": "2001-01-01T00:00:00Z",
        "password": "another-horse-8", "password_hash": "x",
    });
    let answer = ann.put(PROFILE, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    for member in ["id", "email", "name", "created_at", "is_active"] {
        assert_eq!(answer.body[member], before[member], "{member}");
    }
    assert_eq!(sign_in(&app.anonymous(), ANN, PASSWORD).await.status, 200);
    assert_eq!(
        sign_in(&app.anonymous(), "eve@example.com", PASSWORD)
            .await
            .status,
        401
    );
}

// T059, REL-28
async fn updated_at_moves_although_the_clock_does_not(database: Database) {
    let app = TestApp::new(database).await;
    let ann = app.user("ann").await;
    let mut last = ann.get(PROFILE).await.body["updated_at"].clone();
    for step in [0, 0, -3_600_000, 0] {
        app.clock.advance_ms(step);
        let moved = ann.put(PROFILE, json!({"name": "Ann"})).await.body["updated_at"].clone();
        assert!(moved.as_str() > last.as_str(), "{moved} after {last}");
        last = moved;
    }
}

// T060: 404 is for a user that is gone together with the session, and for nothing else.
async fn only_a_deleted_user_is_not_found(database: Database) {
    let app = TestApp::new(database).await;
    let ann = app.user("ann").await;
    app.database.execute("DELETE FROM users").await;
    for answer in [
        ann.get(PROFILE).await,
        ann.put(PROFILE, json!({"name": "x"})).await,
    ] {
        assert_eq!(answer.refusal(), (404, "User not found", "user_not_found"));
        assert_eq!(answer.header("www-authenticate"), "");
    }
    assert_unauthorized(
        &ann.post(LOGOUT, json!({})).await,
        "Invalid token",
        "sign-out has no 404",
    );
    // Once it has expired it is an expired token, whatever else.
    app.clock.advance_ms(604_800_000);
    assert_unauthorized(&ann.get(PROFILE).await, "Token has expired", "expired");
    let token = ann.token.as_deref().expect("a token");
    let tampered = app
        .anonymous()
        .with_token(&format!("{}A", &token[..token.len() - 1]));
    assert_unauthorized(&tampered.get(PROFILE).await, "Invalid token", "tampered");
}

async fn renames_at_once_all_succeed(database: Database) {
    let app = TestApp::new(database).await;
    let ann = app.user("ann").await;
    let renames = (0..30).map(|number| ann.put(PROFILE, json!({"name": format!("Ann {number}")})));
    let answers = futures_util::future::join_all(renames).await;
    let mut moments: Vec<_> = answers
        .iter()
        .map(|answer| super::text(&answer.body["updated_at"]))
        .collect();
    moments.sort();
    moments.dedup();
    assert_eq!(moments.len(), 30, "every change has a moment of its own");
    let last = answers
        .iter()
        .find(|answer| answer.body["updated_at"] == moments[29])
        .expect("the last");
    assert_eq!(ann.get(PROFILE).await.body, last.body);
}
