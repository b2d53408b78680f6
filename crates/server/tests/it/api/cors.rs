//! CORS: off, or exact origins (SEC-72, T070).

use axum::body::Body;

use super::{LOGIN, PROFILE};
use crate::support::{Answer, Client, Database, Options, TestApp};

const ORIGIN: &str = "https://app.example.com";
const OTHERS: [&str; 9] = [
    "https://eve.example.com",
    "http://app.example.com",
    "https://app.example.com:8443",
    "https://app.example.com.eve.example",
    "https://APP.example.com",
    "https://app.example.com/",
    "https://xapp.example.com",
    "null",
    "*",
];

on_both!(
    by_default_nobody_is_allowed,
    only_exact_origins_are_allowed,
    errors_can_be_read_too
);

async fn from(client: &Client, method: &str, path: &str, origin: &str) -> Answer {
    let request = client.request(method, path).header("origin", origin);
    client
        .send(request.body(Body::empty()).expect("a request"))
        .await
}

async fn preflight(client: &Client, origin: &str) -> Answer {
    let request = client.request("OPTIONS", PROFILE).header("origin", origin);
    let request = request.header("access-control-request-method", "PUT");
    let request = request.header(
        "access-control-request-headers",
        "authorization,content-type",
    );
    client
        .send(request.body(Body::empty()).expect("a request"))
        .await
}

fn names_cors(answer: &Answer) -> bool {
    answer
        .headers
        .keys()
        .any(|name| name.as_str().starts_with("access-control-allow-origin"))
}

fn listed(answer: &Answer, name: &str) -> Vec<String> {
    let lines = answer.headers.get_all(name).iter();
    let mut items: Vec<String> = lines
        .flat_map(|line| line.to_str().expect("text").split(','))
        .map(|item| item.trim().to_ascii_lowercase())
        .collect();
    items.sort();
    items
}

async fn by_default_nobody_is_allowed(database: Database) {
    let app = TestApp::new(database).await;
    let ann = app.user("ann").await;
    for origin in [&OTHERS[..], &[ORIGIN]].concat() {
        let answer = from(&ann, "GET", PROFILE, origin).await;
        assert_eq!(answer.status, 200);
        assert!(
            !answer
                .headers
                .keys()
                .any(|name| name.as_str().starts_with("access-control")),
            "{origin}"
        );
        let answer = preflight(&ann, origin).await;
        assert_eq!(answer.status, 405);
        assert!(
            !answer
                .headers
                .keys()
                .any(|name| name.as_str().starts_with("access-control")),
            "{origin}"
        );
    }
}

fn options() -> Options {
    let cors_origins = vec![ORIGIN.to_owned(), "http://localhost:5173".to_owned()];
    Options {
        cors_origins,
        ..Options::default()
    }
}

async fn only_exact_origins_are_allowed(database: Database) {
    let app = TestApp::with(database, options()).await;
    let ann = app.user("ann").await;
    for origin in [ORIGIN, "http://localhost:5173"] {
        let answer = from(&ann, "GET", PROFILE, origin).await;
        assert_eq!(
            (answer.status, answer.header("access-control-allow-origin")),
            (200, origin)
        );
        assert!(listed(&answer, "vary").contains(&"origin".to_owned()));
        assert_eq!(
            answer.header("access-control-allow-credentials"),
            "",
            "no cookie is ever needed"
        );
        assert_eq!(
            listed(&answer, "access-control-expose-headers"),
            ["retry-after", "x-request-id"]
        );

        let answer = preflight(&ann, origin).await;
        assert_eq!(
            (answer.status, answer.header("access-control-allow-origin")),
            (200, origin)
        );
        assert_eq!(
            listed(&answer, "access-control-allow-methods"),
            ["get", "post", "put"]
        );
        assert_eq!(
            listed(&answer, "access-control-allow-headers"),
            ["authorization", "content-type"]
        );
        assert!(listed(&answer, "vary").contains(&"origin".to_owned()));
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.text, "");
    }
    for origin in OTHERS {
        for answer in [
            from(&ann, "GET", PROFILE, origin).await,
            preflight(&ann, origin).await,
        ] {
            assert!(!names_cors(&answer), "{origin}");
            assert!(
                listed(&answer, "vary").contains(&"origin".to_owned()),
                "{origin}: caches must tell them apart"
            );
        }
    }
    let answer = ann.get(PROFILE).await;
    assert!(!names_cors(&answer));
    assert!(
        listed(&answer, "vary").contains(&"origin".to_owned()),
        "without Origin too"
    );
    // Only a preflight is answered for everybody; OPTIONS alone is a method that no path has.
    let answer = from(&ann, "OPTIONS", LOGIN, ORIGIN).await;
    assert!([200, 405].contains(&answer.status), "{}", answer.status);
}

// A page must see why it was refused.
async fn errors_can_be_read_too(database: Database) {
    let app = TestApp::with(database, options()).await;
    let nobody = app.anonymous();
    for (method, path, status) in [
        ("GET", PROFILE, 401),
        ("GET", "/nothing", 404),
        ("GET", LOGIN, 405),
        ("POST", LOGIN, 415),
    ] {
        let answer = from(&nobody, method, path, ORIGIN).await;
        assert_eq!(answer.status, status);
        assert_eq!(
            answer.header("access-control-allow-origin"),
            ORIGIN,
            "{status}"
        );
        assert_eq!(answer.body["status"], status);
    }
}
