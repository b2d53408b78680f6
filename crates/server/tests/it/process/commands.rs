//! The commands that are not about accounts.

use serde_json::Value;

use super::support::{Outcome, Setup};
use crate::support::{Database, SECRET};

on_both!(
    config_redacts,
    migrate_can_be_run_again,
    a_token_is_explained,
);

const SETTINGS: [(&str, &str); 18] = [
    ("BETTER_AUTH_SECRET", "none"),
    ("BETTER_AUTH_SECRETS", "none"),
    ("JWT_ALGORITHM", "HS256"),
    ("DATABASE_URL", "sqlite://gatewright.db"),
    ("HOST", "127.0.0.1"),
    ("PORT", "8000"),
    ("GATEWRIGHT_TOKEN_TTL", "7d"),
    ("GATEWRIGHT_PASSWORD_POLICY", "spec"),
    ("GATEWRIGHT_PASSWORD_HASH", "bcrypt"),
    ("GATEWRIGHT_BCRYPT_COST", "12"),
    ("GATEWRIGHT_CORS_ORIGINS", "empty"),
    ("GATEWRIGHT_TRUSTED_PROXIES", "empty"),
    ("GATEWRIGHT_LOGIN_FAILURE_LIMIT", "10"),
    ("GATEWRIGHT_CLIENT_FAILURE_LIMIT", "100/min"),
    ("GATEWRIGHT_ACCEPT_FOREIGN_TOKENS", "false"),
    ("GATEWRIGHT_DOCS", "false in serve, true in dev"),
    ("GATEWRIGHT_LOG_FORMAT", "text"),
    ("RUST_LOG", "info"),
];

#[test]
fn help_lists_every_setting_with_its_default() {
    for arguments in [&["--help"][..], &["serve", "--help"], &["dev", "--help"]] {
        // The secret of the environment is not shown.
        let setup = Setup::bare().with("BETTER_AUTH_SECRET", SECRET);
        let help = setup.run(arguments).output();
        assert!(!help.contains(SECRET), "{help}");
        let flat = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for (name, default) in SETTINGS {
            let (_, rest) = flat
                .split_once(name)
                .unwrap_or_else(|| panic!("{name} is missing"));
            let (_, rest) = rest.split_once("[default: ").expect("a default");
            assert!(
                rest.starts_with(&format!("{default}]")),
                "{name}: {rest:.40}"
            );
        }
    }
}

#[test]
fn wrong_usage_is_code_2() {
    let wrong: [&[&str]; 10] = [
        &[],
        &["sever"],
        &["serve", "--secret", "x"],
        &["serve", "--better-auth-secret", "x"],
        &["serve", "--database-url", "x"],
        &["user"],
        &["user", "create"],
        &[
            "user",
            "create",
            "--email",
            "a@b.example",
            "--name",
            "A",
            "--password",
            "correct-horse-7",
        ],
        &["user", "show", "nobody"],
        &["user", "set-password", "ann@example.com", "correct-horse-7"],
    ];
    for arguments in wrong {
        let outcome = Setup::bare().run(arguments);
        assert_eq!(outcome.code, Some(2), "{arguments:?}: {outcome:?}");
        assert!(
            outcome.stdout.is_empty() && !outcome.stderr.is_empty(),
            "{outcome:?}"
        );
        assert!(!Setup::bare().directory().join("gatewright.db").exists());
    }
}

#[test]
fn the_version_is_printed() {
    let version = Setup::bare().run(&["--version"]).output();
    assert_eq!(
        version,
        format!("gatewright {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn secrets_are_fresh_and_strong_enough_for_serve() {
    let secret = || Setup::bare().run(&["secret"]).output();
    let (first, second) = (secret(), secret());
    assert_ne!(first, second);
    assert_eq!(first.trim_end().len(), 43, "256 bits in base64url");
    let server = Setup::bare()
        .with("BETTER_AUTH_SECRET", first.trim_end())
        .with("PORT", "0")
        .serve();
    assert_eq!(server.client().get("/health").status, 200);
}

#[test]
fn openapi_prints_what_the_server_serves() {
    let printed = Setup::bare().run(&["openapi"]).json();
    let database = Database::sqlite();
    let server = Setup::on(&database).with("GATEWRIGHT_DOCS", "true").serve();
    assert_eq!(server.client().get("/openapi.json").body, printed);
    assert!(printed["paths"]["/api/auth/login"]["post"].is_object());
}

// SEC-80
async fn config_redacts(database: Database) {
    let password = "hunter2-hunter2";
    let url = database
        .url()
        .replace("gatewright@", &format!("gatewright:{password}@"));
    let setup = Setup::on(&database)
        .with("DATABASE_URL", &url)
        .with("BETTER_AUTH_SECRETS", &format!("2:new-{SECRET},1:{SECRET}"));
    let text = setup.run(&["config"]).output();
    let json = setup.run(&["config", "--json"]).json();
    let rows = json.as_array().expect("rows");
    let names: Vec<_> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
    assert_eq!(names, SETTINGS.map(|(name, _)| name));
    for row in rows {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("{} ", text_of(&row["name"]))));
        let line = line.expect("the same row as text");
        assert!(
            line.contains(text_of(&row["value"])) && line.ends_with(text_of(&row["source"])),
            "{line}"
        );
    }
    for shown in [text, json.to_string()] {
        assert!(
            !shown.contains(SECRET) && !shown.contains(password),
            "{shown}"
        );
        assert!(shown.contains("2:redacted,1:redacted"), "{shown}");
    }
}

async fn migrate_can_be_run_again(database: Database) {
    let setup = Setup::on(&database).without("BETTER_AUTH_SECRET");
    for _ in 0..2 {
        let said = setup.run(&["migrate"]).output();
        assert!(said.contains("the schema is current"), "{said}");
    }
}

// T036
async fn a_token_is_explained(database: Database) {
    let setup = Setup::on(&database);
    let server = setup.serve();
    let ann = server.client().register("ann");
    let token = ann.token().to_owned();
    let explain = |setup: &Setup, token: &str| {
        let as_text = setup.run_with_input(&["token", "inspect"], &format!("{token}\n"));
        let as_json = setup.run(&["token", "inspect", "--json", token]);
        assert_eq!(as_text.code, as_json.code);
        assert!(!as_text.stderr.contains(token), "{as_text:?}");
        let json: Value = serde_json::from_str(&as_json.stdout).expect("JSON");
        assert_eq!(json["accepted"], as_json.code == Some(0));
        (as_text, json)
    };
    let reason = |(outcome, json): (Outcome, Value)| {
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        let reason = text_of(&json["reason"]).to_owned();
        assert!(
            outcome.stdout.contains(&format!("refused: {reason}")),
            "{outcome:?}"
        );
        reason
    };

    let (outcome, json) = explain(&setup, &token);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stdout.contains("accepted"), "{outcome:?}");
    assert_eq!(json["header"]["alg"], "HS256");
    assert_eq!(json["claims"]["email"], "ann@example.com");

    let (head, signature) = token.rsplit_once('.').expect("three parts");
    let forged = format!("{head}.{}", signature.chars().rev().collect::<String>());
    assert!(reason(explain(&setup, &forged)).contains("signature"));
    let other = setup
        .clone()
        .with("BETTER_AUTH_SECRET", &format!("other-{SECRET}"));
    assert!(reason(explain(&other, &token)).contains("signature"));
    assert!(!reason(explain(&setup, "nonsense")).is_empty());

    assert_eq!(ann.logout().status, 200);
    assert_eq!(reason(explain(&setup, &token)), "the session has ended");

    // SEC-88: no test need wait for days.
    let brief = setup.clone().with("GATEWRIGHT_TOKEN_TTL", "1s").serve();
    let token = brief
        .client()
        .login("ann", crate::support::PASSWORD)
        .access_token()
        .to_owned();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert!(reason(explain(&setup, &token)).contains("expired"));

    let without = setup
        .without("BETTER_AUTH_SECRET")
        .run(&["token", "inspect", &token]);
    assert!(without.complaint(2).contains("BETTER_AUTH_SECRET: "));
}

fn text_of(value: &Value) -> &str {
    value.as_str().expect("a text")
}
