//! `POST /api/auth/login`: story 2.

use serde_json::json;

use super::{ANN, LOGIN, PROFILE, REGISTER, sign_in, store_hash};
use crate::support::{Client, Database, Options, PASSWORD, TestApp};

on_both!(
    right_credentials_give_a_token,
    every_refusal_is_the_same,
    passwords_are_compared_whole,
    passwords_are_compared_as_sent,
    malformed_bodies_are_refused,
    an_email_has_many_spellings,
    changes_during_the_hash_win,
);

/// No limit stands in the way of a test that fails often.
fn unlimited() -> Options {
    Options {
        login_failures: 1_000_000,
        client_failures: None,
        ..Options::default()
    }
}

async fn register(client: &Client, email: &str, password: &str) {
    let body = json!({"email": email, "name": "Ann", "password": password});
    let answer = client.post(REGISTER, body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
}

// T026, T035, SEC-36
async fn right_credentials_give_a_token(database: Database) {
    let app = TestApp::new(database).await;
    let first = app.user("ann").await;
    let answer = sign_in(&app.anonymous(), ANN, PASSWORD).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let mut members: Vec<_> = answer.body.as_object().expect("an object").keys().collect();
    members.sort();
    assert_eq!(
        members,
        ["access_token", "expires_in", "token_type", "user"]
    );
    assert_eq!(
        (&answer.body["token_type"], &answer.body["expires_in"]),
        (&json!("bearer"), &json!(604_800))
    );
    assert_eq!(answer.body["user"], first.get(PROFILE).await.body);
    // Signing in with a token at hand makes another session and adopts nothing.
    let again = sign_in(&first, ANN, PASSWORD).await;
    assert_ne!(again.body["access_token"], answer.body["access_token"]);
    let claims = |token: &str| super::token_part(token, 1);
    let token = |answer: &crate::support::Answer| super::text(&answer.body["access_token"]);
    assert_ne!(
        claims(&token(&again))["sid"],
        claims(&token(&answer))["sid"]
    );
    assert_ne!(
        claims(&token(&again))["sid"],
        claims(first.token.as_deref().expect("a token"))["sid"]
    );
}

/// What a database may hold in place of a hash, by accident or malice.
const MALFORMED_HASHES: &[&str] = &[
    "",
    "x",
    "$",
    "plain-text-7",
    PASSWORD,
    "$2b$04$",
    "$2b$04$short",
    "$2b$31$abcdefghijklmnopqrstuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu",
    "$2b$16$abcdefghijklmnopqrstuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu",
    "$2b$99$abcdefghijklmnopqrstuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu",
    "$2b$-4$abcdefghijklmnopqrstuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu",
    "$2b$04$\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu",
    "$2x$04$abcdefghijklmnopqrstuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu",
    "$argon2id$",
    "$argon2id$v=19$m=4294967295,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNo",
    "$argon2id$v=19$m=19456,t=4000000000,p=1$c29tZXNhbHRzb21lc2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNo",
    "$argon2id$v=19$m=8,t=1,p=250$c29tZXNhbHRzb21lc2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNo",
    "$argon2i$v=19$m=64,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNo",
    "$argon2id$v=19$m=19456$c29tZXNhbHRzb21lc2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNo",
];

// T027, T028, T032, SEC-05, SEC-07, SEC-12: the same bytes and header names, whatever the reason.
async fn every_refusal_is_the_same(database: Database) {
    let app = TestApp::with(database, unlimited()).await;
    for name in ["ann", "disabled", "empty"] {
        app.user(name).await;
    }
    app.database
        .execute("UPDATE users SET disabled_at = 1 WHERE email LIKE 'disabled@%'")
        .await;
    app.database
        .execute("UPDATE users SET password_hash = NULL WHERE email LIKE 'empty@%'")
        .await;
    for (number, hash) in MALFORMED_HASHES.iter().enumerate() {
        app.user(&format!("broken{number}")).await;
        store_hash(&app, &format!("broken{number}@example.com"), hash).await;
    }
    let mut cases = vec![
        ("nobody@example.com".to_owned(), PASSWORD.to_owned()),
        (ANN.to_owned(), "wrong-horse-7".to_owned()),
        (ANN.to_owned(), String::new()),
        (ANN.to_owned(), format!("{PASSWORD}\0")),
        (ANN.to_owned(), "\0".to_owned()),
        (ANN.to_owned(), "p".repeat(129)),
        (ANN.to_owned(), "p".repeat(60_000)),
        (ANN.to_owned(), "\u{1f600}".repeat(128)),
        ("disabled@example.com".to_owned(), PASSWORD.to_owned()),
        (
            "disabled@example.com".to_owned(),
            "wrong-horse-7".to_owned(),
        ),
        ("empty@example.com".to_owned(), PASSWORD.to_owned()),
        ("empty@example.com".to_owned(), String::new()),
        (String::new(), PASSWORD.to_owned()),
        ("no e-mail".to_owned(), PASSWORD.to_owned()),
        ("ann@example.com\0".to_owned(), PASSWORD.to_owned()),
        ("' OR '1'='1".to_owned(), PASSWORD.to_owned()),
        ("%@example.com".to_owned(), PASSWORD.to_owned()),
        ("a".repeat(60_000), PASSWORD.to_owned()),
    ];
    cases.extend(
        (0..MALFORMED_HASHES.len())
            .map(|number| (format!("broken{number}@example.com"), PASSWORD.to_owned())),
    );
    cases.extend((0..MALFORMED_HASHES.len()).map(|number| {
        (
            format!("broken{number}@example.com"),
            MALFORMED_HASHES[number].to_owned(),
        )
    }));
    let plain = r#"{"type":"about:blank","title":"Unauthorized","status":401,"detail":"Invalid email or password","code":"invalid_credentials"}"#;
    let mut header_names = None;
    for (email, password) in cases {
        let answer = sign_in(&app.anonymous(), &email, &password).await;
        let shown = (
            email.get(..30).unwrap_or(&email),
            password.get(..30).unwrap_or(&password),
        );
        assert_eq!(
            (answer.status, answer.text.as_str()),
            (401, plain),
            "{shown:?}"
        );
        let names: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
        assert_eq!(
            header_names.get_or_insert(names.clone()),
            &names,
            "{shown:?}"
        );
    }
}

// SEC-04
async fn passwords_are_compared_whole(database: Database) {
    let app = TestApp::with(database, unlimited()).await;
    let nobody = app.anonymous();
    let ascii = |length: usize| format!("1!{}", "p".repeat(length - 2));
    let accented = |length: usize| format!("1!{}", "\u{e9}".repeat(length - 2));
    let passwords = [
        ascii(71),
        ascii(72),
        ascii(73),
        ascii(127),
        ascii(128),
        // 36 and 37 characters: 70 + 2 and 72 + 2 bytes.
        accented(37),
        accented(38),
        accented(128),
        format!("1!{}", "\u{1f600}".repeat(126)),
    ];
    for (number, password) in passwords.iter().enumerate() {
        let email = format!("user{number}@example.com");
        register(&nobody, &email, password).await;
        let hash = super::stored_hash(&app, &email).await.expect("a hash");
        let prefix = if password.len() <= 72 {
            "$2b$04$"
        } else {
            "$argon2id$v=19$m=19456,t=2,p=1$"
        };
        assert!(hash.starts_with(prefix), "{} bytes: {hash}", password.len());
        for (sent, status) in [
            (password.clone(), 200),
            (format!("{password}x"), 401),
            (format!("{password}\0"), 401),
            (
                password
                    .chars()
                    .take(password.chars().count() - 1)
                    .collect(),
                401,
            ),
            (password.chars().take(72).collect::<String>() + "x", 401),
        ] {
            let answer = sign_in(&nobody, &email, &sent).await;
            assert_eq!(
                answer.status,
                status,
                "{} bytes for {} bytes",
                sent.len(),
                password.len()
            );
        }
    }
    // Equal in their first 72 bytes, both ways.
    for (own, other) in [
        (ascii(72), ascii(80)),
        (ascii(80), ascii(72)),
        (ascii(80), ascii(72) + "qqqqqqqq"),
    ] {
        let email = format!("twin{}{}@example.com", own.len(), other.len());
        register(&nobody, &email, &own).await;
        assert_eq!(
            sign_in(&nobody, &email, &other).await.status,
            401,
            "{} {}",
            own.len(),
            other.len()
        );
        assert_eq!(sign_in(&nobody, &email, &own).await.status, 200);
    }
}

// SEC-03
async fn passwords_are_compared_as_sent(database: Database) {
    let app = TestApp::with(database, unlimited()).await;
    let nobody = app.anonymous();
    for (number, (own, same, others)) in [
        (
            " Correct-7 ",
            vec![" Correct-7 "],
            vec![
                "Correct-7",
                " Correct-7",
                "Correct-7 ",
                "  Correct-7 ",
                " correct-7 ",
                " Correct-7\t",
            ],
        ),
        // NFC is the only change.
        (
            "caf\u{e9}-horse-7",
            vec!["cafe\u{301}-horse-7"],
            vec!["cafe-horse-7", "CAF\u{c9}-horse-7"],
        ),
        ("cafe\u{301}-horse-7", vec!["caf\u{e9}-horse-7"], vec![]),
        (
            "\u{212b}ngstr\u{f6}m-7!",
            vec!["A\u{30a}ngstr\u{f6}m-7!"],
            vec![],
        ),
        // NFKC would make these one; NFC does not.
        ("\u{fb01}sh-horse-7", vec![], vec!["fish-horse-7"]),
        ("horse-\u{ff17}-7", vec![], vec!["horse-7-7"]),
        ("\"\\\u{7f}\u{202e}7<>&'", vec![], vec!["\"\\7<>&'"]),
    ]
    .into_iter()
    .enumerate()
    {
        let email = format!("user{number}@example.com");
        register(&nobody, &email, own).await;
        assert_eq!(sign_in(&nobody, &email, own).await.status, 200, "{own:?}");
        for sent in same {
            assert_eq!(
                sign_in(&nobody, &email, sent).await.status,
                200,
                "{sent:?} for {own:?}"
            );
        }
        for sent in others {
            assert_eq!(
                sign_in(&nobody, &email, sent).await.status,
                401,
                "{sent:?} for {own:?}"
            );
        }
    }
}

// T030, SEC-67
async fn malformed_bodies_are_refused(database: Database) {
    let app = TestApp::new(database).await;
    app.user("ann").await;
    for (body, detail) in [
        (json!({}), "Email is required"),
        (json!({"email": ANN}), "Password is required"),
        (json!({"password": PASSWORD}), "Email is required"),
        (
            json!({"email": ANN, "password": null}),
            "Password is required",
        ),
        (
            json!({"email": ANN, "password": 1}),
            "Password must be a string",
        ),
        (
            json!({"email": ANN, "password": [PASSWORD]}),
            "Password must be a string",
        ),
        (
            json!({"email": {"$ne": ""}, "password": {"$ne": ""}}),
            "Email must be a string",
        ),
        (
            json!({"email": [ANN], "password": PASSWORD}),
            "Email must be a string",
        ),
        (
            json!({"email": true, "password": PASSWORD}),
            "Email must be a string",
        ),
        (
            json!({"Email": ANN, "PASSWORD": PASSWORD}),
            "Email is required",
        ),
    ] {
        let answer = app.anonymous().post(LOGIN, body.clone()).await;
        assert_eq!(
            answer.refusal(),
            (400, detail, "validation_failed"),
            "{body}"
        );
    }
}

// SEC-53
async fn an_email_has_many_spellings(database: Database) {
    let app = TestApp::new(database).await;
    app.user("ann").await;
    for email in [
        "ANN@EXAMPLE.COM",
        " ann@example.com  ",
        "ann@example\u{ff0e}com",
    ] {
        assert_eq!(
            sign_in(&app.anonymous(), email, PASSWORD).await.status,
            200,
            "{email:?}"
        );
    }
    for email in [
        "ann\u{ff20}example.com",
        "\u{ff41}nn@example.com",
        "ann@example.com.",
        "a.nn@example.com",
    ] {
        assert_eq!(
            sign_in(&app.anonymous(), email, PASSWORD).await.status,
            401,
            "{email:?}"
        );
    }
}

// SEC-38: disabled, deleted or with another password while the right one is being hashed is too late.
async fn changes_during_the_hash_win(database: Database) {
    let app = TestApp::new(database).await;
    // Half a second: these changes are made while it lasts.
    let slow = bcrypt::hash(PASSWORD, 13).expect("a hash");
    let names = ["disabled", "deleted", "changed"];
    for name in names {
        app.user(name).await;
        store_hash(&app, &format!("{name}@example.com"), &slow).await;
    }
    app.database.execute("DELETE FROM sessions").await;
    let attempts = names.map(|name| {
        let client = app.anonymous().at(&format!("192.0.2.{}", name.len()));
        tokio::spawn(async move {
            sign_in(&client, &format!("{name}@example.com"), PASSWORD)
                .await
                .status
        })
    });
    while app.app.hasher.load().running < attempts.len() {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    app.database
        .execute(
            "UPDATE users SET disabled_at = 1 WHERE email LIKE 'disabled@%'; \
             DELETE FROM users WHERE email LIKE 'deleted@%'; \
             UPDATE users SET password_hash = 'another' WHERE email LIKE 'changed@%'",
        )
        .await;
    assert_eq!(
        app.app.hasher.load().running,
        attempts.len(),
        "the changes came in time"
    );
    for (attempt, name) in attempts.into_iter().zip(names) {
        assert_eq!(attempt.await.expect("an answer"), 401, "{name}");
    }
}
