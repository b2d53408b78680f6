//! What holds for every request: paths, methods, headers, the shape of refusals.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::header::ACCEPT;
use serde_json::json;

use super::{LOGIN, LOGOUT, PROFILE, REGISTER, assert_unauthorized, send};
use crate::support::{Answer, Database, PASSWORD, TestApp};

on_both!(
    every_answer_has_the_same_headers,
    problems_are_problem_json_for_whoever_asks,
    request_ids_are_unique,
    credentials_come_from_one_header_alone,
    there_is_one_credential_or_none,
    health_and_readiness_say_nothing_else,
);

// SEC-69, SEC-71
async fn every_answer_has_the_same_headers(database: Database) {
    let app = TestApp::new(database).await;
    let (nobody, ann) = (app.anonymous(), app.user("ann").await);
    let sign_up = json!({"email": "bob@example.com", "name": "Bob", "password": PASSWORD});
    let too_long = format!("/{}", "x".repeat(9000));
    let answers = [
        (200, nobody.get("/health").await),
        (200, ann.get(PROFILE).await),
        (200, ann.put(PROFILE, json!({"name": "Ann"})).await),
        (201, nobody.post(REGISTER, sign_up.clone()).await),
        (409, nobody.post(REGISTER, sign_up.clone()).await),
        (400, nobody.post(REGISTER, json!({})).await),
        (
            401,
            nobody
                .post(LOGIN, json!({"email": "eve", "password": "x"}))
                .await,
        ),
        (401, nobody.get(PROFILE).await),
        (404, nobody.get("/nothing").await),
        (405, nobody.get(LOGIN).await),
        (
            413,
            nobody.with_body("POST", LOGIN, vec![b' '; 65_537]).await,
        ),
        (414, nobody.get(&too_long).await),
        (415, send(&nobody, "POST", LOGIN).await),
        (200, send(&ann, "POST", LOGOUT).await),
    ];
    for (status, answer) in answers {
        assert_usual(status, &answer);
    }
}

fn assert_usual(status: u16, answer: &Answer) {
    assert_eq!(answer.status, status, "{}", answer.text);
    for (name, value) in [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        (
            "content-security-policy",
            "default-src 'none'; frame-ancestors 'none'",
        ),
        ("referrer-policy", "no-referrer"),
        ("content-type", "application/json"),
    ] {
        let values: Vec<_> = answer.headers.get_all(name).iter().collect();
        assert_eq!(values, [value], "{status} {name}");
    }
    let known = [
        "allow",
        "cache-control",
        // With a body that was refused unread.
        "connection",
        "content-length",
        "content-security-policy",
        "content-type",
        "referrer-policy",
        "www-authenticate",
        "x-content-type-options",
        "x-request-id",
    ];
    for name in answer.headers.keys() {
        assert!(
            known.contains(&name.as_str()),
            "{status} has an unlisted header: {name}"
        );
    }
    if status >= 400 {
        assert_eq!(answer.body["status"], status);
        assert_eq!(answer.body["type"], "about:blank");
        for member in ["title", "detail", "code"] {
            assert!(
                answer.body[member]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{status} {member}"
            );
        }
        assert_eq!(
            answer.body.get("errors").is_some(),
            status == 400,
            "{status}"
        );
    }
}

// RFC 9457; the body is the same.
async fn problems_are_problem_json_for_whoever_asks(database: Database) {
    let app = TestApp::new(database).await;
    let nobody = app.anonymous();
    let plain = nobody.get(PROFILE).await;
    for (accept, media_type) in [
        (
            &["application/problem+json"][..],
            "application/problem+json",
        ),
        (
            &["application/json, application/problem+json;q=0.9"],
            "application/problem+json",
        ),
        (
            &["text/html", "Application/Problem+JSON"],
            "application/problem+json",
        ),
        (&["application/json"], "application/json"),
        (&["*/*"], "application/json"),
        (&["text/html"], "application/json"),
        (&["application/problem+xml"], "application/json"),
        (&["application/problem+json;q=0"], "application/json"),
        (
            &["application/problem+json ; Q=0.000, */*"],
            "application/json",
        ),
    ] {
        let mut request = nobody.request("GET", PROFILE);
        for line in accept {
            request = request.header(ACCEPT, *line);
        }
        let answer = nobody
            .send(request.body(Body::empty()).expect("a request"))
            .await;
        assert_unauthorized(&answer, "Not authenticated", "with Accept");
        assert_eq!(answer.header("content-type"), media_type, "{accept:?}");
        assert_eq!(answer.text, plain.text);
    }
    let request = nobody
        .request("GET", "/health")
        .header(ACCEPT, "application/problem+json");
    let answer = nobody
        .send(request.body(Body::empty()).expect("a request"))
        .await;
    assert_eq!(
        answer.header("content-type"),
        "application/json",
        "a success is no problem"
    );
}

// SEC-83
async fn request_ids_are_unique(database: Database) {
    let app = TestApp::new(database).await;
    let nobody = app.anonymous();
    let mut seen = BTreeSet::new();
    for number in 0..60 {
        let path = [PROFILE, "/health", "/nothing"][number % 3];
        let request = nobody
            .request("GET", path)
            .header("x-request-id", "mine\u{7f}".trim_end_matches('\u{7f}'));
        let answer = nobody
            .send(request.body(Body::empty()).expect("a request"))
            .await;
        assert_ne!(
            answer.header("x-request-id"),
            "mine",
            "a client's id is not adopted"
        );
        seen.insert(answer.header("x-request-id").to_owned());
    }
    assert_eq!(seen.len(), 60);
}

// SEC-73
async fn credentials_come_from_one_header_alone(database: Database) {
    let app = TestApp::new(database).await;
    let ann = app.user("ann").await;
    let token = ann.token.as_deref().expect("a token");
    let nobody = app.anonymous();
    for (header, value) in [
        ("cookie", format!("access_token={token}; token={token}")),
        ("x-access-token", token.to_owned()),
        ("proxy-authorization", format!("Bearer {token}")),
        ("authorization", format!("Basic {token}")),
        ("authorization", format!("Token {token}")),
        ("authorization", token.to_owned()),
        ("authorization", "Bearer".to_owned()),
    ] {
        let request = nobody
            .request("GET", PROFILE)
            .header(header, &value)
            .body(Body::empty());
        assert_unauthorized(
            &nobody.send(request.expect("a request")).await,
            "Not authenticated",
            header,
        );
    }
    for path in ["access_token", "token"].map(|name| format!("{PROFILE}?{name}={token}")) {
        assert_unauthorized(&nobody.get(&path).await, "Not authenticated", "in the URI");
    }
    let body = json!({"name": "Eve", "access_token": token});
    assert_unauthorized(
        &nobody.put(PROFILE, body).await,
        "Not authenticated",
        "in the body",
    );
}

// SEC-73
async fn there_is_one_credential_or_none(database: Database) {
    let app = TestApp::new(database).await;
    let ann = app.user("ann").await;
    let token = ann.token.as_deref().expect("a token");
    let nobody = app.anonymous();
    for value in [format!("bearer {token}"), format!("BEARER   {token}")] {
        let request = nobody
            .request("GET", PROFILE)
            .header("authorization", &value)
            .body(Body::empty());
        assert_eq!(
            nobody.send(request.expect("a request")).await.status,
            200,
            "the scheme has no case"
        );
    }
    for second in [
        format!("Bearer {token}"),
        "Basic YTpi".into(),
        String::new(),
    ] {
        let request = ann
            .request("GET", PROFILE)
            .header("authorization", second)
            .body(Body::empty());
        assert_unauthorized(
            &ann.send(request.expect("a request")).await,
            "Invalid token",
            "two credentials",
        );
    }
    for value in [
        &b"Bearer \xff"[..],
        b"Bearer a,b",
        b"Bearer a b",
        b"Bearer \xc3\xa9",
    ] {
        let request = nobody
            .request("GET", PROFILE)
            .header("authorization", value)
            .body(Body::empty());
        assert_unauthorized(
            &nobody.send(request.expect("a request")).await,
            "Invalid token",
            "odd bytes",
        );
    }
}

// SEC-86
async fn health_and_readiness_say_nothing_else(database: Database) {
    let app = TestApp::new(database).await;
    for path in ["/health", "/ready"] {
        let answer = app.anonymous().get(path).await;
        assert_eq!(
            (answer.status, answer.text.as_str()),
            (200, r#"{"status":"ok"}"#),
            "{path}"
        );
    }
    app.app.phase.stop();
    let answer = app.anonymous().get("/ready").await;
    assert_eq!(
        answer.refusal(),
        (503, "The server is not ready", "not_ready")
    );
    assert_eq!(app.anonymous().get("/health").await.status, 200);
    assert_eq!(
        app.user("ann").await.get(PROFILE).await.status,
        200,
        "what still arrives is served"
    );
}
