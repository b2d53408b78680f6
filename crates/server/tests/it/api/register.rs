//! `POST /api/auth/register`: story 1.

use futures_util::future::join_all;
use serde_json::json;

use super::{ANN, REGISTER, sign_in};
use crate::support::{Database, PASSWORD, TestApp};

on_both!(
    valid_data_makes_an_account_and_a_token,
    the_same_email_twice_is_refused,
    fifty_at_once_make_one_account,
    extra_fields_are_never_bound,
    one_person_has_one_account,
    the_nist_policy_is_a_setting,
);

// T015
async fn valid_data_makes_an_account_and_a_token(database: Database) {
    let app = TestApp::new(database).await;
    let sign_up = json!({"email": " Ann@Example.COM ", "name": " Ann ", "password": PASSWORD});
    let answer = app.anonymous().post(REGISTER, sign_up).await;
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
    let answer = app.anonymous().post(REGISTER, sign_up).await;
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
    let answers = join_all((0..50).map(|_| client.post(REGISTER, sign_up.clone()))).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    let refused = answers.iter().filter(|answer| answer.status == 409).count();
    assert_eq!((made, refused), (1, 49));
}

// SEC-67: unknown members are ignored, never bound.
async fn extra_fields_are_never_bound(database: Database) {
    let app = TestApp::new(database).await;
    let id = "00000000-0000-7000-8000-000000000001";
    let body = json!({
        "email": ANN, "name": "Ann", "password": PASSWORD,
        "id": id, "user_id": id, "sid": id, "is_active": false, "disabled_at": 1, "is_admin": true,
        "created_at": "2001-01-01T00:00:00Z", "updated_at": 0, "password_hash": "$2b$04$x", "__proto__": {"x": 1},
    });
    let answer = app.anonymous().post(REGISTER, body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let user = answer.body["user"].as_object().expect("a user");
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
    assert_ne!(user["id"], id);
    assert_eq!(user["is_active"], true);
    assert_eq!(user["created_at"], "2026-11-20T10:42:00.123Z");
    assert_eq!(user["updated_at"], user["created_at"]);
    assert!(!answer.text.contains("$2b$"), "{}", answer.text);
}

// SEC-53: one canonical e-mail, whatever the spelling.
async fn one_person_has_one_account(database: Database) {
    let app = TestApp::new(database).await;
    let register = async |email: &str| {
        let body = json!({"email": email, "name": "Ann", "password": PASSWORD});
        app.anonymous().post(REGISTER, body).await
    };
    assert_eq!(
        register("ann@b\u{fc}cher.example").await.body["user"]["email"],
        "ann@xn--bcher-kva.example"
    );
    for other in [
        "ANN@B\u{dc}CHER.EXAMPLE",
        " ann@xn--bcher-kva.example ",
        "ann@XN--BCHER-KVA.example",
        "ann@bu\u{308}cher.example",
        "ann@b\u{fc}cher\u{ff0e}example",
    ] {
        assert_eq!(register(other).await.status, 409, "{other:?}");
        assert_eq!(
            sign_in(&app.anonymous(), other, PASSWORD).await.status,
            200,
            "{other:?}"
        );
    }
    // Looks alike and is another: nobody's account opens to it.
    assert_eq!(register("\u{430}nn@b\u{fc}cher.example").await.status, 201);
}

// SEC-02
async fn the_nist_policy_is_a_setting(database: Database) {
    use crate::support::Options;
    use gatewright::settings::PasswordPolicy;
    let options = Options {
        password_policy: PasswordPolicy::Nist,
        ..Options::default()
    };
    let app = TestApp::with(database, options).await;
    for (password, detail) in [
        ("correct-horse-7", None),
        ("correct horse battery", None),
        (
            "correct-horse7",
            Some("Password must be at least 15 characters"),
        ),
        ("passwordpassword", Some("Password is too common")),
        (
            "annabel-lee-2026",
            Some(
                "Password must not be made from your name, your email or the name of this service",
            ),
        ),
    ] {
        let email = format!("annabel.lee@{}.example", password.len());
        let body = json!({"email": email, "name": "Annabel Lee", "password": password});
        let answer = app.anonymous().post(REGISTER, body).await;
        assert_eq!(
            answer.status,
            if detail.is_some() { 400 } else { 201 },
            "{password}: {}",
            answer.text
        );
        assert_eq!(answer.body["detail"].as_str(), detail, "{password}");
    }
}
