//! One whole visit.

use serde_json::json;

use super::{LOGIN, LOGOUT, PROFILE, REGISTER, assert_unauthorized, text};
use crate::support::{Database, PASSWORD, TestApp};

on_both!(from_sign_up_to_sign_out);

// T025, T034, T045, T047, T052, T061, T063
async fn from_sign_up_to_sign_out(database: Database) {
    let app = TestApp::new(database).await;
    let nobody = app.anonymous();
    let answer = nobody
        .post(
            REGISTER,
            json!({"email": "Ann@example.com", "name": "Ann", "password": PASSWORD}),
        )
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let user = answer.body["user"].clone();

    app.clock.advance_ms(60_000);
    let answer = nobody
        .post(
            LOGIN,
            json!({"email": "ann@EXAMPLE.com", "password": PASSWORD}),
        )
        .await;
    assert_eq!(
        (answer.status, &answer.body["user"]),
        (200, &user),
        "{}",
        answer.text
    );
    let ann = nobody.with_token(&text(&answer.body["access_token"]));

    for _ in 0..3 {
        let answer = ann.get(PROFILE).await;
        assert_eq!((answer.status, &answer.body), (200, &user));
    }
    let answer = ann.put(PROFILE, json!({"name": "Ann Lee"})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let mut renamed = user;
    renamed["name"] = "Ann Lee".into();
    renamed["updated_at"] = "2026-11-20T10:43:00.123Z".into();
    assert_eq!(answer.body, renamed);
    assert_eq!(ann.get(PROFILE).await.body, renamed);

    let answer = ann
        .send(
            ann.request("POST", LOGOUT)
                .body(Default::default())
                .expect("a request"),
        )
        .await;
    assert_eq!(
        (answer.status, answer.body),
        (200, json!({"message": "Logged out successfully"}))
    );
    assert_unauthorized(&ann.get(PROFILE).await, "Invalid token", "after sign-out");
    assert_unauthorized(
        &ann.put(PROFILE, json!({})).await,
        "Invalid token",
        "after sign-out",
    );
    assert_eq!(
        nobody
            .post(
                LOGIN,
                json!({"email": "ann@example.com", "password": PASSWORD})
            )
            .await
            .status,
        200
    );
}
