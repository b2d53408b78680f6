//! Settings at the start: whatever is wrong is said in one line, before the port opens.

use std::net::TcpListener;
use std::time::Duration;

use super::support::Setup;
use crate::support::SECRET;

/// Runs `serve` with settings that must stop it, on a port that is taken: whoever opened it first would complain about
/// that instead. Gives the line.
fn refused(setup: &Setup) -> String {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let outcome = setup
        .clone()
        .with("PORT", &port.to_string())
        .run(&["serve"]);
    // REL-35
    assert!(outcome.took < Duration::from_secs(2), "{outcome:?}");
    assert_eq!(outcome.stdout, "");
    let made: Vec<_> = std::fs::read_dir(setup.directory())
        .expect("the directory")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.contains(".db"))
        .collect();
    assert!(made.is_empty(), "{made:?}");
    outcome.complaint(2).to_owned()
}

// SEC-79
#[test]
fn a_secret_that_protects_nothing_stops_the_start() {
    assert!(refused(&Setup::bare()).contains("BETTER_AUTH_SECRET: is not set"));
    let weak = [
        ("", "is empty"),
        ("hunter2-hunter2", "shorter than 32 bytes"),
        ("hunter2-5678-9abcdef-0123456789", "shorter than 32 bytes"),
        ("abababababababababababababababababababab", "variety"),
        ("aaaaaaaabbbbbbbbccccccccddddddddeeeeeeee", "variety"),
        ("better-auth-secret-12345678901234567890", "published"),
        ("your-secret-key-change-this-in-production", "published"),
        ("a-string-secret-at-least-256-bits-long", "published"),
        ("hunter2\n-0123456789abcdef-0123456789abcdef", "control"),
        (" hunter2-0123456789abcdef-0123456789abcdef", "white space"),
    ];
    for (secret, reason) in weak {
        let line = refused(&Setup::bare().with("BETTER_AUTH_SECRET", secret));
        assert!(
            line.contains("BETTER_AUTH_SECRET: ") && line.contains(reason),
            "{line}"
        );
        assert!(secret.is_empty() || !line.contains(secret), "{line}");
        assert!(!line.contains("hunter2"), "{line}");
    }
}

// SEC-80
#[test]
fn a_secret_in_a_file_or_in_dot_env_is_held_to_the_same_rules() {
    let short = "hunter2-hunter2";
    let file = Setup::bare()
        .file("secret", short)
        .with("BETTER_AUTH_SECRET_FILE", "secret");
    assert!(refused(&file).contains("BETTER_AUTH_SECRET_FILE: is shorter"));
    let dot_env = Setup::bare().file(".env", "BETTER_AUTH_SECRET=hunter2-hunter2\n");
    assert!(refused(&dot_env).contains("BETTER_AUTH_SECRET: is shorter"));
    let missing = Setup::bare().with("BETTER_AUTH_SECRET_FILE", "hunter2");
    let line = refused(&missing);
    assert!(line.contains("BETTER_AUTH_SECRET_FILE: "), "{line}");
    // Who puts the secret itself into the wrong variable does not find it in the log.
    assert!(!line.contains("hunter2"), "{line}");
    let versions = Setup::bare().with(
        "BETTER_AUTH_SECRETS",
        &format!("2:{SECRET},1:hunter2-hunter2"),
    );
    let line = refused(&versions);
    assert!(
        line.contains("BETTER_AUTH_SECRETS: the secret of entry 2 is shorter"),
        "{line}"
    );
    assert!(
        !line.contains("hunter2") && !line.contains(SECRET),
        "{line}"
    );
}

// SEC-81
#[test]
fn unknown_and_malformed_settings_stop_the_start() {
    let wrong = [
        ("GATEWRIGHT_TOKEN_TLL", "7d"),
        ("gatewright_docs", "true"),
        ("GATEWRIGHT_TEST_MODE", "true"),
        ("GATEWRIGHT_TOKEN_TTL", "7 days"),
        ("GATEWRIGHT_TOKEN_TTL", "31d"),
        ("GATEWRIGHT_TOKEN_TTL", "0s"),
        ("GATEWRIGHT_TOKEN_TTL", "-1s"),
        ("GATEWRIGHT_TOKEN_TTL", ""),
        ("GATEWRIGHT_PASSWORD_POLICY", "none"),
        ("GATEWRIGHT_PASSWORD_HASH", "md5"),
        ("GATEWRIGHT_BCRYPT_COST", "4"),
        ("GATEWRIGHT_BCRYPT_COST", "16"),
        ("GATEWRIGHT_CORS_ORIGINS", "*"),
        ("GATEWRIGHT_CORS_ORIGINS", "null"),
        ("GATEWRIGHT_CORS_ORIGINS", "https://app.example.com/path"),
        ("GATEWRIGHT_CORS_ORIGINS", "https://app.example.com,*"),
        ("GATEWRIGHT_TRUSTED_PROXIES", "0.0.0.0/0"),
        ("GATEWRIGHT_TRUSTED_PROXIES", "proxy"),
        ("GATEWRIGHT_LOGIN_FAILURE_LIMIT", "0"),
        ("GATEWRIGHT_LOGIN_FAILURE_LIMIT", "off"),
        ("GATEWRIGHT_CLIENT_FAILURE_LIMIT", "100"),
        ("GATEWRIGHT_CLIENT_FAILURE_LIMIT", "0/s"),
        ("GATEWRIGHT_ACCEPT_FOREIGN_TOKENS", "yes"),
        ("GATEWRIGHT_DOCS", "1"),
        ("GATEWRIGHT_LOG_FORMAT", "xml"),
        ("RUST_LOG", "gatewright=loud"),
        ("JWT_ALGORITHM", "none"),
        ("JWT_ALGORITHM", "hs256"),
        ("JWT_ALGORITHM", "RS256"),
        ("HOST", "example.com"),
        ("DATABASE_URL", "mysql://localhost/accounts"),
        ("DATABASE_URL", "sqlite::memory:"),
        (
            "DATABASE_URL",
            "postgres://ann:hunter2@db.example.com/accounts?sslmode=prefer",
        ),
        ("DATABASE_URL", "postgres://ann:hunter2@[/accounts"),
    ];
    for (name, value) in wrong {
        let setup = Setup::bare().with("BETTER_AUTH_SECRET", SECRET);
        let line = refused(&setup.with(name, value));
        assert!(
            line.contains(&format!("{name}: ")),
            "{name}={value}: {line}"
        );
        assert!(
            !line.contains(SECRET) && !line.contains("hunter2"),
            "{line}"
        );
    }
    let setup = Setup::bare().with("BETTER_AUTH_SECRET", SECRET);
    let outcome = setup.with("PORT", "65536").run(&["serve"]);
    assert!(outcome.complaint(2).contains("PORT: "), "{outcome:?}");
}

#[test]
fn a_mistake_in_dot_env_stops_the_start() {
    let secret = format!("BETTER_AUTH_SECRET={SECRET}\n");
    let wrong = [
        ("GATEWRIGHT_TOKEN_TLL=7d", "GATEWRIGHT_TOKEN_TLL: "),
        ("GATEWRIGHT_TOKEN_TTL=soon", "GATEWRIGHT_TOKEN_TTL: "),
        ("what is this", ".env: line 2"),
    ];
    for (line, named) in wrong {
        let setup = Setup::bare().file(".env", &format!("{secret}{line}\n"));
        let complaint = refused(&setup);
        assert!(complaint.contains(named), "{complaint}");
        assert!(!complaint.contains(SECRET), "{complaint}");
    }
}

#[test]
fn every_source_of_the_secret_starts_the_server() {
    let setups = [
        Setup::bare().with("BETTER_AUTH_SECRET", SECRET),
        Setup::bare().with("BETTER_AUTH_SECRETS", &format!("1:{SECRET}")),
        Setup::bare().file(
            ".env",
            &format!("# ours\nexport BETTER_AUTH_SECRET='{SECRET}'\n"),
        ),
        Setup::bare()
            .file("secret", &format!("{SECRET}\n"))
            .with("BETTER_AUTH_SECRET_FILE", "secret"),
        Setup::bare()
            .file("secret", &format!("{SECRET}\r\n"))
            .file(".env", "BETTER_AUTH_SECRET_FILE=secret"),
    ];
    // All of them sign with the same bytes: the token of the first is good everywhere.
    let first = setups[0]
        .clone()
        .with("PORT", "0")
        .with("DATABASE_URL", "sqlite://shared.db");
    let server = first.serve();
    let ann = server.client().register("ann");
    let shared = first.directory().join("shared.db");
    for setup in &setups {
        let setup = setup.clone().with("PORT", "0");
        let server = setup
            .with("DATABASE_URL", &format!("sqlite://{}", shared.display()))
            .serve();
        assert_eq!(ann.at(&server).profile().status, 200);
        let log = server.log().lines().join("\n");
        assert!(!log.contains(SECRET), "{log}");
    }
}

#[test]
fn flags_win_over_the_environment_and_that_over_dot_env() {
    let setup = Setup::bare()
        .file(
            ".env",
            "GATEWRIGHT_TOKEN_TTL=3h\nGATEWRIGHT_BCRYPT_COST=13\nGATEWRIGHT_DOCS=true\n",
        )
        .with("GATEWRIGHT_TOKEN_TTL", "2h")
        .with("GATEWRIGHT_BCRYPT_COST", "14");
    let rows = setup.run(&["config", "--json", "--token-ttl", "1h"]).json();
    let rows = rows.as_array().expect("rows");
    let row = |name: &str| {
        let row = rows.iter().find(|row| row["name"] == name).expect("a row");
        (
            row["value"].as_str().expect("a value"),
            row["source"].as_str().expect("a source"),
        )
    };
    assert_eq!(row("GATEWRIGHT_TOKEN_TTL"), ("1h", "flag"));
    assert_eq!(row("GATEWRIGHT_BCRYPT_COST"), ("14", "environment"));
    assert_eq!(row("GATEWRIGHT_DOCS"), ("true", ".env"));
    assert_eq!(row("HOST"), ("127.0.0.1", "default"));
}
