//! Access tokens, from outside: what they say, and which are believed (T035 to T044).

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatewright::settings::{Purpose, Settings, SettingsFlags, Sources};
use gatewright_verify::{Claims, Key};
use serde_json::{Value, json};

use super::{LOGOUT, PROFILE, assert_unauthorized, text, token_part};
use crate::support::{Client, Database, Options, SECRET, START_MS, TestApp};

const NEW_SECRET: &str = "another-secret-fedcba9876543210-98765432";

on_both!(
    a_token_says_no_more_than_it_must,
    tampered_tokens_are_refused,
    claims_that_are_not_ours_are_refused,
    a_longer_exp_does_not_prolong_the_session,
    a_token_of_another_signer_with_a_live_session_is_good,
    secrets_rotate,
    a_removed_version_ends_its_tokens,
);

/// Signs any header and payload with any secret.
pub(super) fn forge(secret: &str, header: &Value, payload: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(payload));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signature = hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

pub(super) fn header() -> Value {
    json!({"alg": "HS256", "typ": "JWT"})
}

fn payload_of(client: &Client) -> Value {
    token_part(client.token.as_deref().expect("a token"), 1)
}

async fn status(app: &TestApp, token: &str) -> u16 {
    app.anonymous().with_token(token).get(PROFILE).await.status
}

// T035, T051, SEC-28
async fn a_token_says_no_more_than_it_must(database: Database) {
    let app = TestApp::new(database).await;
    let ann = app.user("ann").await;
    let token = ann.token.clone().expect("a token");
    assert!(token.starts_with("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."));
    assert_eq!(token_part(&token, 0), header());
    let claims = token_part(&token, 1);
    let mut names: Vec<_> = claims.as_object().expect("an object").keys().collect();
    names.sort();
    assert_eq!(names, ["email", "exp", "iat", "jti", "sid", "sub"]);
    let user = ann.get(PROFILE).await.body;
    assert_eq!(
        (&claims["sub"], &claims["email"]),
        (&user["id"], &user["email"])
    );
    assert_eq!(claims["iat"], START_MS / 1000);
    assert_eq!(claims["exp"], START_MS / 1000 + 604_800);
    for name in ["sub", "jti", "sid"] {
        let id: uuid::Uuid = text(&claims[name]).parse().expect("a UUID");
        assert_eq!(id.get_version_num(), 7, "{name}");
    }
    // Anybody with the shared secret's bytes can check it.
    assert_eq!(forge(SECRET, &header(), &claims).split('.').count(), 3);
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let (message, signature) = token.rsplit_once('.').expect("three parts");
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    hmac::verify(&key, message.as_bytes(), &signature).expect("signed with the secret");
}

// T040, SEC-22 to SEC-26; SEC-30: there is one kind of token, and another `typ` would be another kind.
async fn tampered_tokens_are_refused(database: Database) {
    let app = TestApp::new(database).await;
    let ann = app.user("ann").await;
    let token = ann.token.clone().expect("a token");
    let claims = payload_of(&ann);
    let parts: Vec<&str> = token.split('.').collect();
    let with = |header: Value| forge(SECRET, &header, &claims);
    let forgeries = [
        forge(NEW_SECRET, &header(), &claims),
        forge("", &header(), &claims),
        forge(SECRET, &header(), &claims).to_uppercase(),
        with(json!({"alg": "none", "typ": "JWT"})),
        with(json!({"alg": "None"})),
        with(json!({"alg": "hs256"})),
        with(json!({"alg": "HS384"})),
        with(json!({"alg": "HS512"})),
        with(json!({"alg": "RS256"})),
        with(json!({"typ": "JWT"})),
        with(json!({"alg": "HS256", "typ": "at+jwt"})),
        with(json!({"alg": "HS256", "kid": "1"})),
        with(json!({"alg": "HS256", "kid": "../../dev/null"})),
        with(json!({"alg": "HS256", "kid": ""})),
        with(json!({"alg": "HS256", "crit": ["exp"]})),
        with(json!({"alg": "HS256", "b64": false})),
        with(json!({"alg": "HS256", "zip": "DEF"})),
        with(json!({"alg": "HS256", "jwk": {"kty": "oct", "k": "AA"}})),
        with(json!({"alg": "HS256", "jku": "https://eve.example/keys"})),
        with(json!(["HS256"])),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{token}."),
        format!("{token}.x"),
        format!("{token}="),
        format!(".{}.{}", parts[1], parts[2]),
        format!("{}.{}.{}", parts[0], parts[1], "A".repeat(43)),
        format!("{}.{}.{}", parts[1], parts[0], parts[2]),
        "x".repeat(9000),
        "..".to_owned(),
    ];
    for forged in forgeries {
        let answer = app.anonymous().with_token(&forged).get(PROFILE).await;
        assert_unauthorized(&answer, "Invalid token", &forged[..forged.len().min(60)]);
        assert!(
            !answer.text.contains("kid") && !answer.text.contains("alg"),
            "no reason is given"
        );
    }
    // Every single changed character of the signature and payload counts.
    for index in (parts[0].len() + 1..token.len())
        .step_by(7)
        .chain([token.len() - 1])
    {
        let mut bytes = token.clone().into_bytes();
        if bytes[index] == b'.' {
            continue;
        }
        bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(bytes).expect("ASCII");
        assert_eq!(status(&app, &forged).await, 401, "character {index}");
    }
    assert_eq!(status(&app, &token).await, 200);
}

// SEC-27, SEC-29
async fn claims_that_are_not_ours_are_refused(database: Database) {
    let app = TestApp::new(database).await;
    let (ann, bob) = (app.user("ann").await, app.user("bob").await);
    let (claims, others) = (payload_of(&ann), payload_of(&bob));
    let now = START_MS / 1000;
    let good = |changes: Value| {
        let mut claims = claims.clone();
        for (name, value) in changes.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        forge(SECRET, &header(), &claims)
    };
    assert_eq!(
        status(&app, &good(json!({}))).await,
        200,
        "the forger's hand is steady"
    );
    for changes in [
        json!({"sid": others["sid"]}),
        json!({"sub": others["sub"]}),
        json!({"sid": "00000000-0000-0000-0000-000000000000"}),
        json!({"sid": "0197e2c4-8d0c-7e3a-9b52-3f6d1c0a7e11"}),
        json!({"sid": null}),
        json!({"sid": 1}),
        json!({"sid": ""}),
        json!({"sid": text(&claims["sid"]).replace('-', "")}),
        json!({"sub": 1}),
        json!({"sub": "ann@example.com"}),
        json!({"exp": "9999999999"}),
        json!({"exp": 1e300}),
        json!({"exp": now as f64 + 100.5}),
        json!({"exp": -1}),
        json!({"exp": 253_402_300_800_i64}),
        json!({"exp": null}),
        json!({"iat": "now"}),
        json!({"nbf": now + 1}),
        json!({"nbf": "0"}),
        json!({"email": null}),
        json!({"jti": 7}),
        json!({"aud": "somebody"}),
    ] {
        let answer = app
            .anonymous()
            .with_token(&good(changes.clone()))
            .get(PROFILE)
            .await;
        assert_unauthorized(&answer, "Invalid token", &changes.to_string());
    }
    for name in ["sub", "email", "iat", "exp", "jti", "sid"] {
        let mut claims = claims.clone();
        claims.as_object_mut().expect("an object").remove(name);
        let answer = app
            .anonymous()
            .with_token(&forge(SECRET, &header(), &claims))
            .get(PROFILE)
            .await;
        assert_unauthorized(&answer, "Invalid token", name);
    }
    for exp in [now, now - 1, 0] {
        let answer = app
            .anonymous()
            .with_token(&good(json!({"exp": exp})))
            .get(PROFILE)
            .await;
        assert_unauthorized(&answer, "Token has expired", "T039");
    }
}

// SEC-39
async fn a_longer_exp_does_not_prolong_the_session(database: Database) {
    let app = TestApp::new(database).await;
    let mut claims = payload_of(&app.user("ann").await);
    claims["exp"] = json!(START_MS / 1000 + 10_000_000);
    let long = app
        .anonymous()
        .with_token(&forge(SECRET, &header(), &claims));
    assert_eq!(long.get(PROFILE).await.status, 200);
    app.clock.advance_ms(604_800_000 - 123);
    assert_unauthorized(
        &long.get(PROFILE).await,
        "Token has expired",
        "the session's end",
    );
}

// SPEC §1: the secret is shared; the session decides.
async fn a_token_of_another_signer_with_a_live_session_is_good(database: Database) {
    let app = TestApp::new(database).await;
    let ann = app.user("ann").await;
    let claims = payload_of(&ann);
    let id = |name: &str| text(&claims[name]).parse().expect("a UUID");
    let now = START_MS / 1000;
    let minted = Claims {
        sub: id("sub"),
        email: "somebody.else@example.com".into(),
        iat: now + 5,
        exp: now + 60,
        jti: "theirs".into(),
        sid: id("sid"),
    };
    let key = Key::hs256(None, SECRET.as_bytes()).expect("a key");
    let theirs = app
        .anonymous()
        .with_token(&key.sign(&minted).expect("a token"));
    let answer = theirs.get(PROFILE).await;
    assert_eq!(
        (answer.status, &answer.body["email"]),
        (200, &json!("ann@example.com")),
        "the e-mail is not believed"
    );
    assert_eq!(theirs.post(LOGOUT, json!({})).await.status, 200);
    for client in [&ann, &theirs] {
        assert_unauthorized(
            &client.get(PROFILE).await,
            "Invalid token",
            "one session, one end",
        );
    }
}

fn secrets(versions: &[(&str, &str)]) -> Options {
    let entries: Vec<String> = versions
        .iter()
        .map(|(version, secret)| format!("{version}:{secret}"))
        .collect();
    let environment = vec![("BETTER_AUTH_SECRETS".into(), entries.join(",").into())];
    let sources = Sources {
        environment,
        dot_env: None,
    };
    let settings = Settings::load(&SettingsFlags::default(), &sources, Purpose::Serve);
    let secrets = settings.expect("good settings").secrets.expect("secrets");
    Options {
        secrets,
        ..Options::default()
    }
}

// SEC-80
async fn secrets_rotate(database: Database) {
    let plain = TestApp::new(database.clone()).await;
    let unnamed = plain.user("ann").await.token.expect("a token");
    let first = TestApp::sharing(
        database.clone(),
        secrets(&[("1", SECRET)]),
        plain.clock.clone(),
    )
    .await;
    // Instances of one test draw the same random bits: the time must tell their ids apart.
    plain.clock.advance_ms(1);
    let old = super::token_of(&first, super::ANN).await;
    assert_eq!(
        token_part(&old, 0),
        json!({"alg": "HS256", "typ": "JWT", "kid": "1"})
    );
    assert_eq!(
        status(&first, &unnamed).await,
        200,
        "from before there were versions"
    );

    let both = secrets(&[("2", NEW_SECRET), ("1", SECRET)]);
    let second = TestApp::sharing(database, both, plain.clock.clone()).await;
    plain.clock.advance_ms(1);
    let new = super::token_of(&second, super::ANN).await;
    assert_eq!(token_part(&new, 0)["kid"], "2");
    for token in [&unnamed, &old, &new] {
        assert_eq!(status(&second, token).await, 200);
    }
    // The new token's key is not known to those who have not moved yet; that is why all learn it before one signs.
    assert_eq!(status(&first, &new).await, 401);
    // A name opens its own key and no other.
    let claims = token_part(&new, 1);
    let crossed = forge(
        SECRET,
        &json!({"alg": "HS256", "typ": "JWT", "kid": "2"}),
        &claims,
    );
    assert_eq!(status(&second, &crossed).await, 401);
}

// SEC-80
async fn a_removed_version_ends_its_tokens(database: Database) {
    let before = TestApp::with(database.clone(), secrets(&[("1", SECRET)])).await;
    let old = before.user("ann").await.token.expect("a token");
    let after = TestApp::sharing(
        database,
        secrets(&[("2", NEW_SECRET)]),
        before.clock.clone(),
    )
    .await;
    let answer = after.anonymous().with_token(&old).get(PROFILE).await;
    assert_unauthorized(&answer, "Invalid token", "removed");
}
