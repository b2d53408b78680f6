//! What may be sent as a body, on every route that takes one.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use futures_util::stream;
use serde_json::json;

use super::{ANN, LOGIN, PROFILE, REGISTER};
use crate::support::{Client, Database, PASSWORD, TestApp};

const WITH_BODY: [(&str, &str); 3] = [("POST", REGISTER), ("POST", LOGIN), ("PUT", PROFILE)];
const LIMIT: usize = 64 * 1024;

on_both!(
    duplicate_members_are_refused_at_any_depth,
    what_is_no_json_is_refused,
    nul_in_any_field,
    sixty_four_kibibytes_and_no_more,
    a_declared_length_is_believed_before_the_body_is_read,
    only_json_is_taken,
    the_json_test_suite,
);

/// A signed-in user, so that `PUT /api/auth/profile` gets as far as its body.
async fn client(database: Database) -> (TestApp, Client) {
    let app = TestApp::new(database).await;
    let client = app.user("ann").await;
    (app, client)
}

// SEC-67: two readers must not understand one body differently.
async fn duplicate_members_are_refused_at_any_depth(database: Database) {
    let (_app, client) = client(database).await;
    let twice = [
        r#""email": "ann@example.com", "email": "eve@example.com""#,
        r#""password": "a", "password": "a""#,
        r#""name": "a", "n\u0061me": "b""#,
        r#""x": 1, "x": 1"#,
        r#""x": {"y": 1, "y": 2}"#,
        r#""x": [[{"y": [{"": 1, "": 2}]}]]"#,
    ];
    for (method, path) in WITH_BODY {
        for members in twice {
            let body = format!(r#"{{{members}}}"#);
            let answer = client.with_body(method, path, body).await;
            let expected = (400, "The body is not valid JSON", "malformed_body");
            assert_eq!(answer.refusal(), expected, "{path} {members}");
        }
    }
}

// SEC-67
async fn what_is_no_json_is_refused(database: Database) {
    let (_app, client) = client(database).await;
    let deep = format!("{{\"x\": {}{}}}", "[".repeat(20_000), "]".repeat(20_000));
    let not_json: [&[u8]; 15] = [
        b"",
        b" ",
        b"{",
        b"{}{}",
        b"{} x",
        b"{'name': 'Ann'}",
        b"{name: \"Ann\"}",
        b"{\"name\": \"Ann\",}",
        b"{\"name\": NaN}",
        b"{\"name\": \"\\ud800\"}",
        b"{\"name\": \"\\udc00\\ud800\"}",
        b"{\"name\": \"A\x01nn\"}",
        b"\xef\xbb\xbf{\"name\": \"Ann\"}",
        b"name=Ann",
        deep.as_bytes(),
    ];
    for (method, path) in WITH_BODY {
        for body in not_json {
            let answer = client.with_body(method, path, body.to_vec()).await;
            let shown = String::from_utf8_lossy(&body[..body.len().min(40)]);
            let expected = (400, "The body is not valid JSON", "malformed_body");
            assert_eq!(answer.refusal(), expected, "{path} {shown}");
        }
        for body in [
            &b"{\"name\": \"\xff\"}"[..],
            b"{\"name\": \"\xed\xa0\x80\"}",
            b"\xff\xfe{\0}\0",
        ] {
            let answer = client.with_body(method, path, body.to_vec()).await;
            let expected = (400, "The body is not valid UTF-8", "malformed_body");
            assert_eq!(answer.refusal(), expected, "{path} {body:?}");
        }
    }
}

// SEC-05
async fn nul_in_any_field(database: Database) {
    let (_app, client) = client(database).await;
    for field in ["email", "name", "password"] {
        let mut body = json!({"email": ANN, "name": "Ann", "password": PASSWORD});
        body[field] = format!("{}\0", body[field].as_str().expect("text")).into();
        let answer = client.post(REGISTER, body.clone()).await;
        assert_eq!(answer.status, 400, "{field}: {}", answer.text);
        assert_eq!(answer.body["errors"][0]["field"], field);
        let answer = client.post(LOGIN, body).await;
        let expected = match field {
            "name" => 200,
            _ => 401,
        };
        assert_eq!(answer.status, expected, "{field}: {}", answer.text);
    }
    let answer = client.put(PROFILE, json!({"name": "An\0n"})).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    // In a member nobody reads it is nobody's business.
    let answer = client
        .put(PROFILE, json!({"name": "Ann", "x\0": "\0"}))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

// SEC-68
async fn sixty_four_kibibytes_and_no_more(database: Database) {
    let (_app, client) = client(database).await;
    let body = json!({"email": "eve@example.com", "name": "Eve", "password": PASSWORD}).to_string();
    for (method, path, status) in [
        ("POST", REGISTER, 201),
        ("POST", LOGIN, 200),
        ("PUT", PROFILE, 200),
    ] {
        let padded = |length| format!("{body}{}", " ".repeat(length - body.len()));
        let over = (413, "The body is larger than 64 KiB", "body_too_large");
        let answer = client.with_body(method, path, padded(LIMIT + 1)).await;
        assert_eq!(answer.refusal(), over, "{path}");
        let chunks = vec![b' '; 4 * LIMIT];
        let chunks = stream::iter(
            chunks
                .chunks(1000)
                .map(|chunk| Ok::<_, std::io::Error>(Bytes::copy_from_slice(chunk)))
                .collect::<Vec<_>>(),
        );
        let answer = client
            .with_body(method, path, Body::from_stream(chunks))
            .await;
        assert_eq!(answer.refusal(), over, "{path}");
        let answer = client.with_body(method, path, padded(LIMIT)).await;
        assert_eq!(answer.status, status, "{path} {}", answer.text);
    }
}

// SEC-68: 413 before reading; SEC-09: and a length that lies small gains nothing.
async fn a_declared_length_is_believed_before_the_body_is_read(database: Database) {
    let (_app, client) = client(database).await;
    for (method, path) in WITH_BODY {
        for length in ["65537", "10000000000", "18446744073709551615"] {
            let was_read = Arc::new(AtomicBool::new(false));
            let flag = was_read.clone();
            let body = stream::once(async move {
                flag.store(true, Ordering::SeqCst);
                Ok::<_, std::io::Error>(Bytes::from_static(b"{}"))
            });
            let request = client
                .request(method, path)
                .header(CONTENT_TYPE, "application/json");
            let request = request.header(CONTENT_LENGTH, length);
            let answer = client
                .send(request.body(Body::from_stream(body)).expect("a request"))
                .await;
            assert_eq!(answer.status, 413, "{path} {length}");
            assert!(!was_read.load(Ordering::SeqCst), "{path} {length}");
        }
        let request = client
            .request(method, path)
            .header(CONTENT_TYPE, "application/json");
        let request = request.header(CONTENT_LENGTH, "2");
        let answer = client
            .send(
                request
                    .body(vec![b' '; LIMIT + 1].into())
                    .expect("a request"),
            )
            .await;
        assert_eq!(answer.status, 413, "{path}");
    }
}

const TAKEN_TYPES: &[&str] = &[
    "application/json",
    "Application/JSON",
    "application/json; charset=utf-8",
    "application/json;charset=UTF-8",
    "application/json; charset=\"utf-8\"",
    "application/json ; Charset=Utf-8",
];

const REFUSED_TYPES: &[&str] = &[
    "",
    "json",
    "text/plain",
    "text/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/json, text/plain",
    "text/plain; application/json",
    "application/jsonp",
    "application/json5",
    "application/problem+json",
    "application/json; charset=utf-16",
    "application/json; charset=latin1",
    "application/json; charset=utf-7",
];

// SEC-67: nothing that a form or a plain-text request without preflight can send.
async fn only_json_is_taken(database: Database) {
    let (_app, client) = client(database).await;
    let body = json!({"email": ANN, "name": "Ann", "password": PASSWORD}).to_string();
    let send = async |method: &str, path: &str, types: &[&str]| {
        let mut request = client.request(method, path);
        for media_type in types {
            request = request.header(CONTENT_TYPE, *media_type);
        }
        client
            .send(request.body(body.clone().into()).expect("a request"))
            .await
    };
    for (method, path, status) in [
        ("POST", REGISTER, 409),
        ("POST", LOGIN, 200),
        ("PUT", PROFILE, 200),
    ] {
        for media_type in TAKEN_TYPES {
            assert_eq!(
                send(method, path, &[media_type]).await.status,
                status,
                "{path} {media_type}"
            );
        }
        let wrong = (
            415,
            "The Content-Type must be application/json",
            "unsupported_media_type",
        );
        for media_type in REFUSED_TYPES {
            assert_eq!(
                send(method, path, &[media_type]).await.refusal(),
                wrong,
                "{path} {media_type}"
            );
        }
        for types in [
            &[][..],
            &["application/json", "text/plain"],
            &["application/json", "application/json"],
        ] {
            assert_eq!(
                send(method, path, types).await.refusal(),
                wrong,
                "{path} {types:?}"
            );
        }
    }
    // No request decompression: a compressed body is no JSON (SEC-68).
    let request = client
        .request("POST", LOGIN)
        .header(CONTENT_TYPE, "application/json");
    let request = request
        .header("content-encoding", "gzip")
        .body(vec![0x1f, 0x8b, 8, 0].into());
    assert_eq!(client.send(request.expect("a request")).await.status, 400);
}

// SEC-69: github.com/nst/JSONTestSuite. What must be refused is refused, and nothing is a defect of the server.
async fn the_json_test_suite(database: Database) {
    let (_app, client) = client(database).await;
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../verify/tests/vectors/JSONTestSuite/test_parsing");
    let mut seen = 0;
    for entry in std::fs::read_dir(directory).expect("the vectors") {
        let file = entry.expect("an entry").path();
        let name = file
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let body = std::fs::read(&file).expect("a file");
        for (method, path) in WITH_BODY {
            let status = client.with_body(method, path, body.clone()).await.status;
            let expected = match (name.as_bytes()[0], path) {
                _ if body.len() > LIMIT => status == 413,
                (b'n', _) => status == 400,
                (_, PROFILE) => status == 200 || status == 400,
                _ => status == 400,
            };
            assert!(expected, "{path} {name}: {status}");
        }
        seen += 1;
    }
    assert_eq!(seen, 318);
}
