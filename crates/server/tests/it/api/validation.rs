//! Which fields a sign-up may have: tables of what is refused, and what is just allowed.

use serde_json::{Value, json};

use super::{ANN, REGISTER, sign_in};
use crate::support::{Database, PASSWORD, TestApp};

on_both!(
    bad_emails,
    bad_names,
    bad_passwords,
    every_bad_field_is_named,
    missing_fields_hide_no_broken_rules,
    the_edges_of_the_rules,
    wrong_types_and_missing_fields,
);

/// Signs up with `field` set to `value` and expects 400, one error, of that field; returns the detail.
async fn refused_detail(app: &TestApp, field: &str, value: &str) -> String {
    let mut body = json!({"email": ANN, "name": "Ann", "password": PASSWORD});
    body[field] = value.into();
    let answer = app.anonymous().post(REGISTER, body).await;
    let (status, detail, code) = answer.refusal();
    assert_eq!((status, code), (400, "validation_failed"), "{value:?}");
    let errors = json!([{"field": field, "message": detail}]);
    assert_eq!(answer.body["errors"], errors, "{value:?}");
    detail.to_owned()
}

// T017, SEC-53, SEC-54
async fn bad_emails(database: Database) {
    let app = TestApp::new(database).await;
    let long_local = format!("{}@example.com", "a".repeat(65));
    let long_label = format!("a@{}.com", "b".repeat(64));
    let labels = ["b".repeat(63), "c".repeat(63), "d".repeat(63)].join(".");
    let long = format!("{}@{labels}.com", "a".repeat(60));
    for email in [
        "",
        " ",
        "ann",
        "ann@",
        "@example.com",
        "ann@example",
        "ann@localhost",
        "ann@@example.com",
        "ann@b@example.com",
        "ann\u{ff20}example.com",
        "\"ann\"@example.com",
        "ann@[192.0.2.1]",
        "ann@[IPv6:::1]",
        "ann@192.0.2.1",
        "ann @example.com",
        "ann@exam ple.com",
        "\tann@example.com",
        "ann@example.com\n",
        "ann@example.com\r\nBcc: eve@example.com",
        "Ann <ann@example.com>",
        "ann@example.com,eve@example.com",
        ".ann@example.com",
        "ann.@example.com",
        "a..n@example.com",
        "ann@.example.com",
        "ann@example..com",
        "ann@example.com.",
        "ann@-example.com",
        "ann@example-.com",
        "ann@exa_mple.com",
        "ann\0@example.com",
        "ann@exam\0ple.com",
        "ann@example.com\0",
        "an\u{200b}n@example.com",
        "ann@exam\u{202e}ple.com",
        "\u{212a}ann@example.com",
        "ann@xn--\u{fc}.com",
        "ann@xn--zzzzzz99999.com",
        "mailto:ann@example.com?subject=x",
        &long_local,
        &long_label,
        &long,
        &"a".repeat(60_000),
    ] {
        let detail = refused_detail(&app, "email", email).await;
        assert!(
            detail.starts_with("Email must ") || detail.starts_with("Email has "),
            "{email:?}"
        );
    }
}

// SEC-05
async fn bad_names(database: Database) {
    let app = TestApp::new(database).await;
    let long = "n".repeat(101);
    for (name, detail) in [
        ("", "Name must not be empty"),
        ("   ", "Name must not be empty"),
        ("\u{2003}\u{a0}\t\n", "Name must not be empty"),
        (&long, "Name must be at most 100 characters"),
        ("An\0n", "Name must not contain control characters"),
        ("An\nn", "Name must not contain control characters"),
        ("An\u{1b}[31mn", "Name must not contain control characters"),
        ("An\u{7f}n", "Name must not contain control characters"),
        ("An\u{85}n", "Name must not contain control characters"),
    ] {
        assert_eq!(refused_detail(&app, "name", name).await, detail, "{name:?}");
    }
}

// T018, SEC-01, SEC-05: the detail names the rule.
async fn bad_passwords(database: Database) {
    let app = TestApp::new(database).await;
    let long = format!("{}1!", "p".repeat(127));
    for (password, detail) in [
        ("", "Password must be at least 8 characters"),
        ("Short1!", "Password must be at least 8 characters"),
        (
            "\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}1!",
            "Password must be at least 8 characters",
        ),
        // Eight code points as sent, seven as compared: the marks compose with their letters.
        ("abcde\u{308}1!", "Password must be at least 8 characters"),
        (&long, "Password must be at most 128 characters"),
        ("password!", "Password must contain at least one digit"),
        ("PASSWORD!!", "Password must contain at least one digit"),
        (
            "password1",
            "Password must contain at least one special character",
        ),
        (
            "pass word1",
            "Password must contain at least one special character",
        ),
        (
            "pass\u{a0}word1",
            "Password must contain at least one special character",
        ),
        (
            "p\u{e4}ssw\u{f6}rd1",
            "Password must contain at least one special character",
        ),
        (
            "pass\0word1!",
            "Password must not contain the NUL character",
        ),
        (
            "\0\0\0\0\0\0\0\0",
            "Password must not contain the NUL character",
        ),
    ] {
        assert_eq!(
            refused_detail(&app, "password", password).await,
            detail,
            "{password:?}"
        );
    }
}

// T017, T018
async fn every_bad_field_is_named(database: Database) {
    let app = TestApp::new(database).await;
    let body = json!({"email": "ann", "name": " ", "password": "short"});
    let answer = app.anonymous().post(REGISTER, body).await;
    assert_eq!(answer.status, 400);
    let errors = answer.body["errors"].as_array().expect("errors");
    let fields: Vec<_> = errors.iter().map(|error| &error["field"]).collect();
    assert_eq!(fields, ["email", "name", "password"]);
    assert_eq!(answer.body["detail"], errors[0]["message"]);
    // No sentence repeats what was sent.
    assert!(!answer.text.contains("short"), "{}", answer.text);
}

async fn missing_fields_hide_no_broken_rules(database: Database) {
    let app = TestApp::new(database).await;
    let body = json!({"email": "no address", "password": "short"});
    let answer = app.anonymous().post(REGISTER, body).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.body["detail"], "Name is required");
    let errors = answer.body["errors"].as_array().expect("a list");
    let mut fields: Vec<_> = errors.iter().map(|error| &error["field"]).collect();
    fields.sort_by_key(|field| field.as_str());
    assert_eq!(fields, ["email", "name", "password"], "each once");
}

// SEC-01, SEC-54: what is just allowed is allowed, and can sign in.
async fn the_edges_of_the_rules(database: Database) {
    let app = TestApp::new(database).await;
    let local = "a".repeat(64);
    let labels = ["b".repeat(63), "c".repeat(63), "d".repeat(58)].join(".");
    let longest_email = format!("{local}@{labels}.io");
    assert_eq!(longest_email.len(), 254);
    let longest_name = "\u{1f600}".repeat(100);
    let longest_password = format!("1!{}", "\u{1f600}".repeat(126));
    for (email, name, password) in [
        ("a@b.io", "A", "1234567!"),
        (
            "o'neil+tag_9@b\u{fc}cher.example",
            "O'Neil \u{2019}",
            "p\u{e4}ssw\u{f6}rt1\u{20ac}",
        ),
        (&longest_email, &longest_name, &longest_password),
        (
            "j\u{fc}rgen@example.com",
            "<script>alert(1)</script>",
            "' OR 1=1; --",
        ),
    ] {
        let body = json!({"email": email, "name": name, "password": password});
        let answer = app.anonymous().post(REGISTER, body).await;
        assert_eq!(answer.status, 201, "{email}: {}", answer.text);
        assert_eq!(answer.body["user"]["name"], name);
        let answer = sign_in(&app.anonymous(), email, password).await;
        assert_eq!(answer.status, 200, "{email}: {}", answer.text);
    }
}

// SEC-67: strict types, nothing coerced.
async fn wrong_types_and_missing_fields(database: Database) {
    let app = TestApp::new(database).await;
    let wrong = [
        json!(1),
        json!(1.5),
        json!(true),
        json!([]),
        json!({}),
        json!([PASSWORD]),
    ];
    for (field, title) in [
        ("email", "Email"),
        ("name", "Name"),
        ("password", "Password"),
    ] {
        let mut cases: Vec<(Option<Value>, String)> = wrong
            .iter()
            .map(|value| (Some(value.clone()), format!("{title} must be a string")))
            .collect();
        cases.push((Some(Value::Null), format!("{title} is required")));
        cases.push((None, format!("{title} is required")));
        for (value, detail) in cases {
            let mut body = json!({"email": ANN, "name": "Ann", "password": PASSWORD});
            match value {
                Some(value) => body[field] = value,
                None => drop(body.as_object_mut().expect("an object").remove(field)),
            }
            let answer = app.anonymous().post(REGISTER, body.clone()).await;
            assert_eq!(
                answer.refusal(),
                (400, detail.as_str(), "validation_failed"),
                "{body}"
            );
            assert_eq!(
                answer.body["errors"],
                json!([{"field": field, "message": detail}])
            );
        }
    }
    for body in [json!([]), json!("x"), json!(1), Value::Null, json!(true)] {
        let answer = app.anonymous().post(REGISTER, body).await;
        assert_eq!(
            answer.refusal(),
            (400, "The body must be a JSON object", "malformed_body")
        );
    }
    let answer = app.anonymous().post(REGISTER, json!({})).await;
    assert_eq!(
        answer.body["errors"].as_array().map(Vec::len),
        Some(3),
        "{}",
        answer.text
    );
}
