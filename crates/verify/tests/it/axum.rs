//! The extractors, as a service sees them.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ::axum::Router;
use ::axum::body::{Body, to_bytes};
use ::axum::extract::FromRef;
use ::axum::http::{HeaderMap, Request, Response, StatusCode};
use ::axum::routing::get;
use gatewright_verify::axum::{CurrentUserId, bearer_token};
use gatewright_verify::{Claims, Error, Key, Verifier};
use tower::ServiceExt as _;

use crate::support::{SECRET, claims, signed, verifier};

#[derive(Clone)]
struct State {
    verifier: Arc<Verifier>,
}

impl FromRef<State> for Arc<Verifier> {
    fn from_ref(state: &State) -> Self {
        Self::clone(&state.verifier)
    }
}

fn service() -> Router {
    let state = State {
        verifier: Arc::new(verifier()),
    };
    Router::new()
        .route("/id", get(async |CurrentUserId(id)| id.to_string()))
        .route("/email", get(async |claims: Claims| claims.email))
        .with_state(state)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the extractors read the real clock"
)]
fn real_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

fn token(exp: i64) -> String {
    let claims = Claims { exp, ..claims() };
    Key::hs256(None, SECRET).unwrap().sign(&claims).unwrap()
}

async fn ask(path: &str, authorization: &[&str]) -> Response<Body> {
    let mut request = Request::get(path);
    for value in authorization {
        request = request.header("authorization", *value);
    }
    let request = request.body(Body::empty()).unwrap();
    service().oneshot(request).await.unwrap()
}

async fn text(response: Response<Body>) -> String {
    let bytes = to_bytes(response.into_body(), 4096).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_valid_token_opens_the_door() {
    let bearer = format!("bearer {}", token(real_now() + 60));
    let response = ask("/id", &[&bearer]).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(text(response).await, claims().sub.to_string());
    assert_eq!(text(ask("/email", &[&bearer]).await).await, claims().email);
}

// SEC-73
#[tokio::test]
async fn refusals_say_what_a_client_may_know() {
    let valid = format!("Bearer {}", token(real_now() + 60));
    let expired = format!("Bearer {}", token(real_now()));
    let foreign = r#"{"sub":"01890000-0000-7000-8000-000000000001","exp":253402300799}"#;
    let foreign = format!("Bearer {}", signed(r#"{"alg":"HS256"}"#, foreign));
    let invalid = (
        "Invalid token",
        "invalid_token",
        "Bearer error=\"invalid_token\"",
    );
    let expiry = (
        "Token has expired",
        "token_expired",
        "Bearer error=\"invalid_token\"",
    );
    let missing = ("Not authenticated", "not_authenticated", "Bearer");

    for (authorization, (detail, code, challenge)) in [
        (&[][..], missing),
        (&["Basic YTpi"], missing),
        (&["Bearer"], missing),
        (&[&expired], expiry),
        (&[&foreign], invalid),
        (&["Bearer a.b.c"], invalid),
        (&[&valid, &valid], invalid),
    ] {
        for path in ["/id", "/email"] {
            let response = ask(path, authorization).await;
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
            assert_eq!(response.headers()["www-authenticate"], challenge);
            assert_eq!(response.headers()["content-type"], "application/json");
            let body: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
            let expected = serde_json::json!({
                "type": "about:blank", "title": "Unauthorized", "status": 401, "detail": detail, "code": code,
            });
            assert_eq!(body, expected, "{authorization:?}");
        }
    }
}

// SEC-73
#[tokio::test]
async fn a_token_in_the_address_is_not_a_credential() {
    let path = format!("/id?access_token={}", token(real_now() + 60));
    let response = ask(&path, &[]).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
}

#[test]
fn the_token_of_a_request_can_be_had_alone() {
    let mut headers = HeaderMap::new();
    assert_eq!(bearer_token(&headers), Err(Error::Missing));
    headers.insert("authorization", "Bearer a.b.c".parse().unwrap());
    assert_eq!(bearer_token(&headers), Ok("a.b.c"));
}
