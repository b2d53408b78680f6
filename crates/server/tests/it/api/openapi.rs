//! The API document: complete, and true of real answers.

use axum::http::header::ACCEPT;
use serde_json::{Value, json};

use super::coverage::routes;
use super::{ANN, LOGIN, LOGOUT, PROFILE, REGISTER, send, sign_in};
use crate::support::{Answer, Database, Options, PASSWORD, TestApp};

on_both!(
    answers_are_as_documented,
    the_page_and_the_document_are_served_when_wanted,
    the_page_has_no_other_paths_or_methods,
);

fn document() -> Value {
    serde_json::to_value(gatewright::http::document()).expect("JSON")
}

/// Method, path and every status that its operation documents.
const DOCUMENTED: [(&str, &str, &str); 7] = [
    ("POST", REGISTER, "201 400 408 409 413 414 415 429 500 503"),
    ("POST", LOGIN, "200 400 401 408 413 414 415 429 500 503"),
    ("POST", LOGOUT, "200 401 414 500 503"),
    ("GET", PROFILE, "200 401 404 414 500 503"),
    ("PUT", PROFILE, "200 400 401 404 408 413 414 415 500 503"),
    ("GET", "/health", "200 414 500"),
    ("GET", "/ready", "200 414 500 503"),
];

#[test]
fn every_status_of_every_route_is_documented() {
    let document = document();
    assert_eq!(routes(&document).len(), DOCUMENTED.len());
    for (method, path, statuses) in DOCUMENTED {
        let responses = &operation(&document, method, path)["responses"];
        let documented: Vec<_> = responses
            .as_object()
            .expect("responses")
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(documented.join(" "), statuses, "{method} {path}");
        for (status, response) in responses.as_object().expect("responses") {
            let is_problem = status.as_str() >= "400";
            let types: Vec<_> = response["content"]
                .as_object()
                .expect("content")
                .keys()
                .collect();
            let expected = if is_problem {
                vec!["application/json", "application/problem+json"]
            } else {
                vec!["application/json"]
            };
            assert_eq!(types, expected, "{method} {path} {status}");
            let named = response["content"]["application/json"]["schema"]["$ref"]
                == "#/components/schemas/Problem";
            assert_eq!(named, is_problem, "{method} {path} {status}");
            let described = response["description"]
                .as_str()
                .is_some_and(|text| text.len() > 3);
            assert!(described, "{method} {path} {status}");
        }
    }
}

// T044
#[test]
fn the_bearer_scheme_is_named_where_a_token_is_needed() {
    let document = document();
    let scheme = &document["components"]["securitySchemes"]["bearer"];
    assert_eq!(
        *scheme,
        json!({"type": "http", "scheme": "bearer", "bearerFormat": "JWT"})
    );
    for (method, path) in routes(&document) {
        let security = &operation(&document, &method, &path)["security"];
        let is_protected = [LOGOUT, PROFILE].contains(&path.as_str());
        let expected = if is_protected {
            json!([{"bearer": []}])
        } else {
            Value::Null
        };
        assert_eq!(*security, expected, "{method} {path}");
    }
}

// T019 to T021
#[test]
fn every_member_has_a_type_and_texts_have_an_example() {
    let document = document();
    let schemas = document["components"]["schemas"]
        .as_object()
        .expect("schemas");
    for (name, schema) in schemas {
        for (member, property) in schema["properties"].as_object().expect(name) {
            assert!(
                property["type"] != Value::Null || property["$ref"] != Value::Null,
                "{name}.{member}"
            );
            let is_plain = property["type"] == "string" || property["type"] == "integer";
            assert!(
                !is_plain
                    || property["example"] != Value::Null
                    || property["examples"] != Value::Null,
                "{name}.{member}"
            );
        }
        let members = schema["properties"].as_object().expect(name).keys();
        let secret =
            members.filter(|member| member.contains("password") || member.contains("hash"));
        assert_eq!(
            secret.count(),
            usize::from(name == "RegisterRequest" || name == "LoginRequest"),
            "{name}"
        );
    }
    for (name, required) in [
        ("RegisterRequest", json!(["email", "name", "password"])),
        ("LoginRequest", json!(["email", "password"])),
        ("ProfileUpdate", Value::Null),
        (
            "AuthResponse",
            json!(["access_token", "token_type", "expires_in", "user"]),
        ),
        (
            "UserResponse",
            json!([
                "id",
                "email",
                "name",
                "created_at",
                "updated_at",
                "is_active"
            ]),
        ),
        (
            "Problem",
            json!(["type", "title", "status", "detail", "code"]),
        ),
    ] {
        assert_eq!(schemas[name]["required"], required, "{name}");
    }
    for (method, path) in routes(&document) {
        let body = &operation(&document, &method, &path)["requestBody"];
        assert_eq!(
            body.is_object(),
            [REGISTER, LOGIN].contains(&path.as_str()) || method == "PUT",
            "{method} {path}"
        );
    }
}

async fn answers_are_as_documented(database: Database) {
    let options = Options {
        login_failures: 1,
        ..Options::default()
    };
    let app = TestApp::with(database, options).await;
    let nobody = app.anonymous();
    let (ann, bob) = (app.user("ann").await, app.user("bob").await);
    let sign_up = json!({"email": "eve@example.com", "name": "Eve", "password": PASSWORD});
    let long = |path: &str| format!("{path}?{}", "x".repeat(9000));
    let mut answers = vec![
        (
            "POST",
            REGISTER,
            nobody.post(REGISTER, sign_up.clone()).await,
        ),
        ("POST", REGISTER, nobody.post(REGISTER, sign_up).await),
        ("POST", REGISTER, nobody.post(REGISTER, json!({})).await),
        ("POST", LOGIN, sign_in(&nobody, ANN, PASSWORD).await),
        ("POST", LOGIN, sign_in(&nobody, ANN, "wrong").await),
        ("POST", LOGIN, sign_in(&nobody, ANN, PASSWORD).await),
        ("GET", PROFILE, ann.get(PROFILE).await),
        ("GET", PROFILE, nobody.get(PROFILE).await),
        (
            "PUT",
            PROFILE,
            ann.put(PROFILE, json!({"name": "Ann Lee"})).await,
        ),
        ("PUT", PROFILE, ann.put(PROFILE, json!({"name": ""})).await),
        ("PUT", PROFILE, nobody.put(PROFILE, json!({})).await),
        ("POST", LOGOUT, send(&ann, "POST", LOGOUT).await),
        ("POST", LOGOUT, send(&ann, "POST", LOGOUT).await),
        ("GET", "/health", nobody.get("/health").await),
        ("GET", "/ready", nobody.get("/ready").await),
    ];
    for (method, path) in [("POST", REGISTER), ("POST", LOGIN), ("PUT", PROFILE)] {
        answers.push((method, path, bob.with_body(method, path, "nonsense").await));
        answers.push((
            method,
            path,
            bob.with_body(method, path, vec![b' '; 65_537]).await,
        ));
        answers.push((method, path, send(&bob, method, path).await));
        answers.push((method, path, bob.with_body(method, &long(path), "{}").await));
    }
    app.database.execute("DELETE FROM users").await;
    answers.push(("GET", PROFILE, bob.get(PROFILE).await));
    answers.push(("PUT", PROFILE, bob.put(PROFILE, json!({})).await));
    answers.push(("POST", LOGOUT, send(&bob, "POST", LOGOUT).await));
    app.app.phase.stop();
    answers.push(("GET", "/ready", nobody.get("/ready").await));
    app.database.execute("DROP TABLE sessions").await;
    answers.push(("GET", PROFILE, bob.get(PROFILE).await));
    let request = nobody
        .request("GET", PROFILE)
        .header(ACCEPT, "application/problem+json");
    answers.push((
        "GET",
        PROFILE,
        nobody
            .send(request.body(Default::default()).expect("a request"))
            .await,
    ));
    let document = document();
    for (method, path, answer) in &answers {
        check(&document, method, path, answer);
    }
}

/// Holds a real answer to the document: status, headers, media type, body.
fn check(document: &Value, method: &str, path: &str, answer: &Answer) {
    let context = format!("{method} {path} {}", answer.status);
    let response = &operation(document, method, path)["responses"][answer.status.to_string()];
    assert!(
        response.is_object(),
        "{context} is not documented: {}",
        answer.text
    );
    for name in response["headers"]
        .as_object()
        .into_iter()
        .flat_map(|headers| headers.keys())
    {
        assert_ne!(answer.header(name), "", "{context} has no {name}");
    }
    let content = &response["content"][answer.header("content-type")];
    assert!(
        content.is_object(),
        "{context}: {}",
        answer.header("content-type")
    );
    conform(document, &content["schema"], &answer.body, &context);
}

/// JSON Schema, as far as the document uses it; members that are not listed are refused.
fn conform(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document
            .pointer(&reference[1..])
            .expect("a schema that is there");
        return conform(document, target, value, at);
    }
    let is_a = |kind: &Value| match kind.as_str().expect("a type") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{at}: unknown type {other}"),
    };
    let types = schema["type"]
        .as_array()
        .cloned()
        .unwrap_or_else(|| vec![schema["type"].clone()]);
    assert!(types.iter().any(is_a), "{at} is no {types:?}: {value}");
    match schema["format"].as_str() {
        Some("uuid") => drop(value.as_str().expect(at).parse::<uuid::Uuid>().expect(at)),
        Some("date-time") => drop(
            value
                .as_str()
                .expect(at)
                .parse::<jiff::Timestamp>()
                .expect(at),
        ),
        _ => {}
    }
    if let Some(members) = value.as_object() {
        for name in schema["required"].as_array().into_iter().flatten() {
            assert!(
                members.contains_key(name.as_str().expect("a name")),
                "{at} lacks {name}"
            );
        }
        for (name, member) in members {
            let property = &schema["properties"][name];
            assert!(property.is_object(), "{at}.{name} is not documented");
            conform(document, property, member, &format!("{at}.{name}"));
        }
    }
    for item in value.as_array().into_iter().flatten() {
        conform(document, &schema["items"], item, at);
    }
}

// SEC-86; GATEWRIGHT_DOCS
async fn the_page_and_the_document_are_served_when_wanted(database: Database) {
    let off = TestApp::new(database.clone()).await;
    for path in [
        "/docs",
        "/docs/",
        "/docs/index.html",
        "/openapi.json",
        "/docs/swagger-ui.css",
    ] {
        assert_eq!(off.anonymous().get(path).await.status, 404, "{path}");
    }
    let on = TestApp::sharing(
        database,
        Options {
            docs: true,
            ..Options::default()
        },
        off.clock.clone(),
    )
    .await;
    let nobody = on.anonymous();
    let answer = nobody.get("/openapi.json").await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "application/json")
    );
    assert_eq!(answer.body, document(), "as `gatewright openapi` prints it");

    let moved = nobody.get("/docs").await;
    assert_eq!(
        (moved.status, moved.header("location")),
        (303, "/docs/"),
        "{}",
        moved.text
    );
    let page = nobody.get("/docs/").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/html"));
    let mut loaded = vec![page];
    for path in ["swagger-initializer.js", "index.css"] {
        loaded.push(nobody.get(&format!("/docs/{path}")).await);
    }
    for answer in &loaded {
        assert_eq!(answer.status, 200);
        for scheme in ["http://", "https://", "\"//", "'//", "url(//"] {
            assert!(
                !answer.text.contains(scheme),
                "another host: {scheme} in {}",
                answer.text
            );
        }
        assert!(
            answer
                .header("content-security-policy")
                .contains("connect-src 'self'")
        );
        assert!(!answer.header("content-security-policy").contains("http"));
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    assert!(
        loaded[1].text.contains("/openapi.json"),
        "{}",
        loaded[1].text
    );
}

async fn the_page_has_no_other_paths_or_methods(database: Database) {
    let options = Options {
        docs: true,
        ..Options::default()
    };
    let app = TestApp::with(database, options).await;
    let nobody = app.anonymous();
    for path in ["/docs/nothing", "/docs/../secret", "/openapi.yaml"] {
        assert_eq!(nobody.get(path).await.status, 404, "{path}");
    }
    assert_eq!(
        send(&nobody, "POST", "/openapi.json").await.refusal(),
        (405, "Method not allowed", "method_not_allowed")
    );
    assert_eq!(nobody.get(PROFILE).await.status, 401);
}

fn operation<'a>(document: &'a Value, method: &str, path: &str) -> &'a Value {
    let operation = &document["paths"][path][method.to_lowercase()];
    assert!(operation.is_object(), "{method} {path}");
    operation
}
