//! Paths and methods that are there, and all others.

use std::collections::BTreeSet;

use axum::body::Body;

use super::{LOGIN, LOGOUT, PROFILE, REGISTER, send};
use crate::support::{Database, TestApp};

on_both!(
    unknown_paths_are_not_found,
    other_methods_are_refused,
    head_is_get_without_a_body,
    a_long_uri_is_refused,
);

const ROUTES: [(&str, &[&str]); 6] = [
    (REGISTER, &["POST"]),
    (LOGIN, &["POST"]),
    (LOGOUT, &["POST"]),
    (PROFILE, &["GET", "HEAD", "PUT"]),
    ("/health", &["GET", "HEAD"]),
    ("/ready", &["GET", "HEAD"]),
];

// SEC-19, SEC-70
async fn unknown_paths_are_not_found(database: Database) {
    let app = TestApp::new(database).await;
    let ann = app.user("ann").await;
    for path in [
        "/",
        "//",
        "/api",
        "/api/",
        "/api/auth",
        "/api/auth/",
        "/api/auth/profile/",
        "/api/auth/register/",
        "//api/auth/profile",
        "/api//auth/profile",
        "/api/auth//profile",
        "/./api/auth/profile",
        "/api/x/../auth/profile",
        "/api/auth/../../etc/passwd",
        "/api/auth/%2e%2e/auth/profile",
        "/API/auth/profile",
        "/api/auth/Profile",
        "/api/auth/pro%66ile",
        "/api%2fauth%2fprofile",
        "/api/auth/profile%2f",
        "/api/auth/profile%00",
        "/api/auth/profile%20",
        "/api/auth/profile;v=1",
        "/api/auth/profile.json",
        "/api/auth/users",
        "/docs",
        "/openapi.json",
        "/metrics",
        "/admin",
        "/.env",
        "/health/",
        "/<script>alert(1)</script>"
            .replace(['<', '>'], "_")
            .as_str(),
    ] {
        for method in ["GET", "POST", "PUT", "DELETE"] {
            let answer = send(&ann, method, path).await;
            assert_eq!(
                answer.refusal(),
                (404, "Not found", "not_found"),
                "{method} {path}"
            );
            assert!(
                !answer.text.contains(path) || path == "/",
                "{path} is echoed"
            );
            assert_eq!(answer.header("location"), "", "{path} redirects");
        }
    }
    assert_eq!(ann.get("/api/auth/profile?x=1").await.status, 200);
}

// SEC-70
async fn other_methods_are_refused(database: Database) {
    let app = TestApp::new(database).await;
    let ann = app.user("ann").await;
    let methods = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW",
        "get",
    ];
    for (path, allowed) in ROUTES {
        for method in methods.iter().filter(|method| !allowed.contains(method)) {
            let answer = send(&ann, method, path).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            let named: BTreeSet<_> = answer.header("allow").split(',').map(str::trim).collect();
            assert_eq!(named, allowed.iter().copied().collect(), "{method} {path}");
            if *method != "HEAD" {
                assert_eq!(
                    answer.refusal(),
                    (405, "Method not allowed", "method_not_allowed"),
                    "{method} {path}"
                );
            }
        }
    }
    // A method in another header changes nothing.
    for name in [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
    ] {
        let request = ann
            .request("GET", LOGOUT)
            .header(name, "POST")
            .body(Body::empty());
        assert_eq!(
            ann.send(request.expect("a request")).await.status,
            405,
            "{name}"
        );
    }
    assert_eq!(ann.get(PROFILE).await.status, 200, "nothing was signed out");
}

// SEC-70
async fn head_is_get_without_a_body(database: Database) {
    let app = TestApp::new(database).await;
    let ann = app.user("ann").await;
    for (client, path) in [
        (&ann, PROFILE),
        (&app.anonymous(), PROFILE),
        (&ann, "/health"),
        (&ann, "/ready"),
    ] {
        let (get, head) = (client.get(path).await, send(client, "HEAD", path).await);
        assert_eq!(
            (head.status, head.text.as_str()),
            (get.status, ""),
            "{path}"
        );
        assert_eq!(
            head.header("content-length"),
            get.text.len().to_string(),
            "{path}"
        );
        assert_eq!(
            head.header("content-type"),
            get.header("content-type"),
            "{path}"
        );
    }
}

// SEC-68
async fn a_long_uri_is_refused(database: Database) {
    let app = TestApp::new(database).await;
    let ann = app.user("ann").await;
    for path in [PROFILE, "/nothing"] {
        let uri = |length: usize| format!("{path}?{}", "x".repeat(length - path.len() - 1));
        let over = (414, "The URI is longer than 8 KiB", "uri_too_long");
        assert_eq!(ann.get(&uri(8193)).await.refusal(), over, "{path}");
        assert_eq!(ann.get(&uri(40_000)).await.refusal(), over, "{path}");
        assert_ne!(ann.get(&uri(8192)).await.status, 414, "{path}");
    }
}
