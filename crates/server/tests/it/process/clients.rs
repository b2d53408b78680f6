//! Other holders of the shared secret: PyJWT and jose check our tokens, and mint tokens for us.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Once;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::http::Http;
use super::support::{Outcome, Setup, left_out, outcome};
use crate::support::{Database, SECRET};

/// Not ASCII: the key is the UTF-8 bytes themselves.
const FOREIGN_SECRET: &str = "pässwörter-sind-länger-als-ihre-Zeichen-密碼";

#[expect(
    clippy::disallowed_methods,
    reason = "tests are told by their script where the clients are"
)]
fn place(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A Python with PyJWT. What is not there is said once on standard error: `scripts/test` brings it along.
fn python(script: &str) -> Option<Command> {
    static SAID: Once = Once::new();
    let Some(python) = place("GATEWRIGHT_TEST_PYTHON") else {
        SAID.call_once(|| {
            left_out(
                "everything with PyJWT (GATEWRIGHT_TEST_PYTHON is not set; scripts/test sets it)",
            )
        });
        return None;
    };
    let mut command = Command::new(python);
    command.arg(clients().join(script)).env("PYTHONUTF8", "1");
    Some(command)
}

fn jose() -> Option<Command> {
    static SAID: Once = Once::new();
    if place("GATEWRIGHT_TEST_JOSE").is_none() {
        SAID.call_once(|| {
            left_out("everything with jose (GATEWRIGHT_TEST_JOSE is not set; scripts/test sets it)")
        });
        return None;
    }
    let mut command = Command::new("node");
    command.arg(clients().join("check_token.mjs"));
    Some(command)
}

fn clients() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "clients"]
        .iter()
        .collect()
}

fn ask(mut command: Command, secret: &str, input: &str) -> Outcome {
    command
        .env("BETTER_AUTH_SECRET", secret)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    outcome(&mut command, input)
}

fn mint(claims: &Value, secret: &str) -> Option<String> {
    let script = python("mint_token.py")?;
    let token = ask(script, secret, &claims.to_string()).output();
    Some(token.trim_end().to_owned())
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("three parts");
    let bytes = URL_SAFE_NO_PAD.decode(payload).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

// SEC-28, T035
#[test]
fn our_tokens_are_good_for_pyjwt_and_jose() {
    for secret in [SECRET, FOREIGN_SECRET] {
        let database = Database::sqlite();
        let server = Setup::on(&database)
            .with("BETTER_AUTH_SECRET", secret)
            .serve();
        let ann = server.client().register("ann");
        for command in [python("check_token.py"), jose()].into_iter().flatten() {
            let program = format!("{command:?}");
            let payload = ask(command, secret, ann.token()).json();
            assert_eq!(payload, claims(ann.token()), "{program}");
            assert_eq!(payload["email"], "ann@example.com");
        }
        for command in [python("check_token.py"), jose()].into_iter().flatten() {
            let refused = ask(command, &format!("{secret}!"), ann.token());
            assert_eq!(refused.code, Some(1), "{refused:?}");
        }
    }
}

// SEC-80: the clients know nothing of versions; they are given the secret alone.
#[test]
fn a_token_of_a_versioned_secret_is_good_for_pyjwt_and_jose() {
    let database = Database::sqlite();
    let both = format!("2:{FOREIGN_SECRET},1:{SECRET}");
    let server = Setup::on(&database)
        .with("BETTER_AUTH_SECRETS", &both)
        .serve();
    let ann = server.client().register("ann");
    for command in [python("check_token.py"), jose()].into_iter().flatten() {
        ask(command, FOREIGN_SECRET, ann.token()).output();
    }
}

#[test]
fn a_token_that_pyjwt_minted_needs_a_live_session() {
    let database = Database::sqlite();
    for secret in [SECRET, FOREIGN_SECRET] {
        let server = Setup::on(&database)
            .with("BETTER_AUTH_SECRET", secret)
            .serve();
        let ann = server
            .client()
            .register(if secret == SECRET { "ann" } else { "bob" });
        let own = claims(ann.token());
        let speak = |claims: &Value| Some(server.client().with_token(&mint(claims, secret)?));
        let Some(same_session) = speak(&own) else {
            return;
        };
        assert_eq!(same_session.profile().status, 200);

        let no_session = speak(&without_session(&own)).expect("PyJWT");
        assert_eq!(no_session.profile().refusal(), (401, "Invalid token"));
        let expired = speak(&with(&own, "exp", json!(now() - 1))).expect("PyJWT");
        assert_eq!(expired.profile().refusal(), (401, "Token has expired"));
        let text = speak(&with(&own, "exp", json!("9999999999"))).expect("PyJWT");
        assert_eq!(text.profile().refusal(), (401, "Invalid token"));
        let other = "018f0000-0000-7000-8000-000000000000";
        let stranger = speak(&with(&own, "sub", json!(other))).expect("PyJWT");
        assert_eq!(stranger.profile().refusal(), (401, "Invalid token"));

        assert_eq!(ann.logout().status, 200);
        assert_eq!(same_session.profile().refusal(), (401, "Invalid token"));
    }
}

#[test]
fn foreign_tokens_are_accepted_where_that_is_wanted() {
    let database = Database::sqlite();
    let setup = Setup::on(&database).with("GATEWRIGHT_ACCEPT_FOREIGN_TOKENS", "true");
    let server = setup.serve();
    let ann = server.client().register("ann");
    let foreign = json!({"sub": claims(ann.token())["sub"], "exp": now() + 600});
    let Some(token) = mint(&foreign, SECRET) else {
        return;
    };
    let foreign = server.client().with_token(&token);
    assert_eq!(foreign.profile().body["email"], "ann@example.com");

    // Our own tokens still end at sign-out, foreign ones cannot.
    assert_eq!(ann.logout().status, 200);
    assert_eq!(foreign.logout().status, 200);
    assert_eq!(ann.profile().refusal(), (401, "Invalid token"));
    assert_eq!(foreign.profile().status, 200);
    // An ended session is not made good by leaving it out of the token: that is what the setting allows.
    let inspected = setup.run(&["token", "inspect", &token]);
    assert_eq!(inspected.code, Some(0), "{inspected:?}");

    refuses_foreign_tokens_of(&setup, &foreign, "disable", (401, "Invalid token"));
    refuses_foreign_tokens_of(&setup, &foreign, "delete", (404, "User not found"));
}

fn refuses_foreign_tokens_of(setup: &Setup, foreign: &Http, verb: &str, refusal: (u16, &str)) {
    let mut arguments = vec!["user", verb, "ann@example.com"];
    if verb == "delete" {
        arguments.push("--yes");
    }
    setup.run(&arguments).output();
    assert_eq!(foreign.profile().refusal(), refusal, "{verb}");
}

fn with(claims: &Value, name: &str, value: Value) -> Value {
    let mut claims = claims.clone();
    claims[name] = value;
    claims
}

fn without_session(claims: &Value) -> Value {
    let mut claims = claims.clone();
    claims.as_object_mut().expect("an object").remove("sid");
    claims
}

#[expect(
    clippy::disallowed_methods,
    reason = "a token for a real server needs the real time"
)]
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("a clock after 1970").as_secs()
}
