//! The API, one file for each endpoint family or promise, and what its tests have in common.

mod attempts;
mod bodies;
mod cors;
mod coverage;
mod errors;
mod failures;
mod flow;
mod foreign;
mod hygiene;
mod limits;
mod login;
mod logout;
mod networks;
mod openapi;
mod overload;
mod paths;
mod profile;
mod register;
mod rehash;
mod secrecy;
mod sessions;
mod timing;
mod tokens;
mod validation;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::{Answer, Client, PASSWORD, TestApp};

const REGISTER: &str = "/api/auth/register";
const LOGIN: &str = "/api/auth/login";
const LOGOUT: &str = "/api/auth/logout";
const PROFILE: &str = "/api/auth/profile";

/// The e-mail of the user that [`TestApp::user`] makes for `ann`.
const ANN: &str = "ann@example.com";

async fn sign_in(client: &Client, email: &str, password: &str) -> Answer {
    let body = json!({"email": email, "password": password});
    client.post(LOGIN, body).await
}

/// Sends a request without a body.
async fn send(client: &Client, method: &str, path: &str) -> Answer {
    let request = client.request(method, path).body(Body::empty());
    client.send(request.expect("a request")).await
}

/// The token of a sign-in with the password that every test user has.
async fn token_of(app: &TestApp, email: &str) -> String {
    let answer = sign_in(&app.anonymous(), email, PASSWORD).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    text(&answer.body["access_token"])
}

/// A JSON string's text.
fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

/// Part `index` of a token, decoded but not checked: 0 is the header, 1 the payload.
fn token_part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).expect("three parts");
    let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

async fn stored_hash(app: &TestApp, email: &str) -> Option<String> {
    let stored = app
        .app
        .store
        .user_by_email(email)
        .await
        .expect("a database");
    stored.expect("a user").password_hash
}

/// Puts a hash into the database behind the server's back.
async fn store_hash(app: &TestApp, email: &str, hash: &str) {
    let sql = format!("UPDATE users SET password_hash = '{hash}' WHERE email = '{email}'");
    app.database.execute(&sql).await;
}

/// What every refusal of a token looks like (SEC-73).
fn assert_unauthorized(answer: &Answer, detail: &str, context: &str) {
    assert_eq!(answer.status, 401, "{context}: {}", answer.text);
    assert_eq!(answer.body["detail"], detail, "{context}");
    let challenge = match detail {
        "Not authenticated" => "Bearer",
        _ => "Bearer error=\"invalid_token\"",
    };
    assert_eq!(answer.header("www-authenticate"), challenge, "{context}");
}
