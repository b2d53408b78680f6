//! Tokens that somebody else signed with the shared secret, without a session (SPEC §1).

use serde_json::{Value, json};

use super::tokens::{forge, header};
use super::{LOGOUT, PROFILE, assert_unauthorized};
use crate::support::{Database, Options, SECRET, START_MS, TestApp};

on_both!(
    foreign_tokens_are_refused_by_default,
    foreign_tokens_by_the_switch,
);

fn foreign(user: &Value, changes: &Value) -> String {
    let mut claims = json!({"sub": user["id"], "exp": START_MS / 1000 + 3600});
    for (name, value) in changes.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    forge(SECRET, &header(), &claims)
}

async fn foreign_tokens_are_refused_by_default(database: Database) {
    let app = TestApp::new(database).await;
    let user = app.user("ann").await.get(PROFILE).await.body;
    for changes in [
        json!({}),
        json!({"email": "ann@example.com", "iat": 1, "jti": "x"}),
    ] {
        let client = app.anonymous().with_token(&foreign(&user, &changes));
        assert_unauthorized(&client.get(PROFILE).await, "Invalid token", "GET");
        assert_unauthorized(
            &client.put(PROFILE, json!({"name": "x"})).await,
            "Invalid token",
            "PUT",
        );
        assert_unauthorized(
            &client.post(LOGOUT, json!({})).await,
            "Invalid token",
            "sign-out",
        );
    }
}

// SPEC §1, foreign tokens: sign-out cannot end these, and our own still end.
async fn foreign_tokens_by_the_switch(database: Database) {
    let options = Options {
        accept_foreign_tokens: true,
        ..Options::default()
    };
    let app = TestApp::with(database, options).await;
    let ann = app.user("ann").await;
    let user = ann.get(PROFILE).await.body;
    let client = app.anonymous().with_token(&foreign(&user, &json!({})));
    assert_eq!(client.get(PROFILE).await.body, user);
    assert_eq!(
        client.put(PROFILE, json!({"name": "Ann Lee"})).await.status,
        200
    );
    assert_eq!(client.post(LOGOUT, json!({})).await.status, 200);
    assert_eq!(client.get(PROFILE).await.status, 200, "lives on");
    assert_eq!(ann.post(LOGOUT, json!({})).await.status, 200);
    assert_unauthorized(
        &ann.get(PROFILE).await,
        "Invalid token",
        "our own has ended",
    );
    // Taking the ended session's id away is not a way back for those who cannot sign; null is not absent.
    for changes in [
        json!({"sid": null}),
        json!({"sid": ""}),
        json!({"sub": "x"}),
        json!({"exp": "9"}),
        json!({"aud": "x"}),
    ] {
        let forged = app.anonymous().with_token(&foreign(&user, &changes));
        assert_unauthorized(
            &forged.get(PROFILE).await,
            "Invalid token",
            &changes.to_string(),
        );
    }
    let expired = app
        .anonymous()
        .with_token(&foreign(&user, &json!({"exp": START_MS / 1000})));
    assert_unauthorized(&expired.get(PROFILE).await, "Token has expired", "foreign");
    app.database
        .execute("UPDATE users SET disabled_at = 1")
        .await;
    assert_unauthorized(&client.get(PROFILE).await, "Invalid token", "disabled");
    assert_unauthorized(
        &client.put(PROFILE, json!({})).await,
        "Invalid token",
        "disabled",
    );
    app.database.execute("DELETE FROM users").await;
    assert_eq!(
        client.get(PROFILE).await.refusal(),
        (404, "User not found", "user_not_found")
    );
    assert_unauthorized(
        &client.post(LOGOUT, json!({})).await,
        "Invalid token",
        "sign-out has no 404",
    );
}
