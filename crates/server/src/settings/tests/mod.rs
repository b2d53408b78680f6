//! Whole loads: values in, typed settings or lines out.

mod database;
mod sources;
mod values;

use std::{ffi::OsString, fs, path::Path};

use clap::{Args, Command, FromArgMatches};
use tempfile::TempDir;

use super::*;

const STRONG: &str = "hunter22-0123456789abcdef-0123456789";
const STRONGER: &str = "hunter22-fedcba9876543210-9876543210";

fn environment(variables: &[(&str, &str)]) -> Sources {
    Sources {
        environment: variables
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
        dot_env: None,
    }
}

fn flags(arguments: &[&str]) -> SettingsFlags {
    let command = SettingsFlags::augment_args(Command::new("serve"));
    let matches = command
        .try_get_matches_from([&["serve"], arguments].concat())
        .expect("clap accepts the arguments");
    SettingsFlags::from_arg_matches(&matches).expect("infallible")
}

fn load(sources: &Sources) -> Result<Settings, String> {
    Settings::load(&SettingsFlags::default(), sources, Purpose::Command)
        .map_err(|error| error.to_string())
}

fn set(name: &str, value: &str) -> Result<Settings, String> {
    load(&environment(&[(name, value)]))
}

fn with_dot_env(
    directory: &TempDir,
    text: impl AsRef<[u8]>,
    variables: &[(&str, &str)],
) -> Sources {
    let path = directory.path().join(".env");
    fs::write(&path, text).expect("a temporary directory takes files");
    Sources {
        dot_env: Some(path),
        ..environment(variables)
    }
}

fn row<'a>(settings: &'a Settings, name: &str) -> &'a Row {
    let found = settings.rows().iter().find(|row| row.name == name);
    found.expect(name)
}

fn temporary() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn path_text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

#[test]
fn defaults_are_those_of_the_contract() {
    let settings = load(&Sources::default()).expect("defaults alone are right");
    assert!(settings.secrets.is_none());
    assert_eq!(settings.database.redacted(), "sqlite://gatewright.db");
    assert_eq!(settings.host.to_string(), "127.0.0.1");
    assert_eq!(settings.port, 8000);
    assert_eq!(settings.token_ttl.as_secs(), 604_800);
    assert_eq!(settings.password_policy, PasswordPolicy::Spec);
    assert_eq!(settings.password_hash, PasswordHash::Bcrypt);
    assert_eq!(settings.bcrypt_cost, 12);
    assert!(settings.cors_origins.is_empty());
    assert!(settings.trusted_proxies.is_empty());
    assert_eq!(settings.login_failure_limit, 10);
    let per_minute = RateLimit {
        count: 100,
        period: Duration::from_secs(60),
    };
    assert_eq!(settings.client_failure_limit, Some(per_minute));
    assert!(!settings.accept_foreign_tokens);
    assert!(!settings.docs);
    assert_eq!(settings.log_format, LogFormat::Text);
    assert_eq!(settings.log_filter, "info");
}

// SEC-79, SEC-80
#[test]
fn serve_needs_a_secret_and_versions_govern() {
    let serve = |variables: &[(&str, &str)]| {
        Settings::load(
            &SettingsFlags::default(),
            &environment(variables),
            Purpose::Serve,
        )
        .map_err(|error| error.to_string())
    };
    assert_eq!(
        serve(&[]).expect_err("missing"),
        "BETTER_AUTH_SECRET: is not set; \"gatewright secret\" prints a fresh one"
    );
    let weak = serve(&[(
        "BETTER_AUTH_SECRET",
        "better-auth-secret-12345678901234567890",
    )]);
    assert_eq!(
        weak.expect_err("published"),
        "BETTER_AUTH_SECRET: is a published example; \"gatewright secret\" prints a fresh one"
    );
    let plain = serve(&[("BETTER_AUTH_SECRET", STRONG)])
        .expect("strong")
        .secrets
        .expect("set");
    assert_eq!(plain.signing().version, None);

    let versions = format!("2:{STRONGER},1:{STRONG}");
    serve(&[("BETTER_AUTH_SECRETS", &versions)]).expect("BETTER_AUTH_SECRETS alone is enough");
    let both = serve(&[
        ("BETTER_AUTH_SECRETS", &format!("2:{STRONGER}")),
        ("BETTER_AUTH_SECRET", STRONG),
    ]);
    let governing = both.expect("strong").secrets.expect("set");
    let verifying: Vec<_> = governing
        .verifying()
        .iter()
        .map(|entry| entry.secret.expose_bytes())
        .collect();
    assert_eq!(verifying, [STRONGER.as_bytes()]);
}

#[test]
fn dev_shows_its_docs_and_stays_on_loopback() {
    let dev = |variables: &[(&str, &str)]| {
        Settings::load(
            &SettingsFlags::default(),
            &environment(variables),
            Purpose::Dev,
        )
        .map_err(|error| error.to_string())
    };
    let settings = dev(&[]).expect("dev needs no secret of the person's");
    assert!(settings.docs);
    assert_eq!(row(&settings, "GATEWRIGHT_DOCS").value, "true");
    assert!(
        !dev(&[("GATEWRIGHT_DOCS", "false")])
            .expect("well-formed")
            .docs
    );
    let line = dev(&[("HOST", "0.0.0.0")]).expect_err("reachable from outside");
    assert!(line.starts_with("HOST: 0.0.0.0 can be reached"), "{line}");
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let sources = environment(&[
        ("PORT", "http"),
        ("GATEWRIGHT_PROT", "1"),
        ("HOST", "there"),
    ]);
    let error = Settings::load(&SettingsFlags::default(), &sources, Purpose::Serve);
    let lines = error.expect_err("four mistakes").to_string();
    let names: Vec<_> = lines
        .lines()
        .filter_map(|line| line.split(':').next())
        .collect();
    assert_eq!(
        names,
        ["GATEWRIGHT_PROT", "BETTER_AUTH_SECRET", "HOST", "PORT"]
    );
}

/// SPEC section 2: names with the default that the help must show.
const CONTRACT: [(&str, &str); 18] = [
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
    let mut command = SettingsFlags::augment_args(Command::new("serve"));
    command.clone().debug_assert();
    for help in [command.render_help().to_string(), settings_help()] {
        let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for (name, default) in CONTRACT {
            let entry = [format!("[env: {name}]"), format!(" {name}=")]
                .iter()
                .find_map(|needle| words.find(needle.as_str()))
                .unwrap_or_else(|| panic!("{name} is not in {help}"));
            let shown = words[entry..].split("[default: ").nth(1).expect(name);
            assert!(shown.starts_with(&format!("{default}]")), "{name}: {shown}");
        }
        for name in ["BETTER_AUTH_SECRET", "BETTER_AUTH_SECRETS", "DATABASE_URL"] {
            assert!(words.contains(&format!(" or {name}_FILE=PATH")), "{help}");
        }
    }
    let settings = load(&Sources::default()).expect("defaults");
    let names: Vec<_> = settings.rows().iter().map(|row| row.name).collect();
    assert_eq!(names, CONTRACT.map(|(name, _)| name));
}

#[test]
fn no_flag_takes_a_secret() {
    let command = SettingsFlags::augment_args(Command::new("serve"));
    for argument in command.get_arguments() {
        let flag = argument.get_long().expect("settings are long flags");
        assert!(
            !flag.contains("secret") && !flag.contains("database"),
            "--{flag}"
        );
    }
}

#[test]
fn the_effective_settings_hold_no_secret() {
    let versions = format!("2:{STRONGER},1:{STRONG}");
    let loaded = load(&environment(&[
        ("BETTER_AUTH_SECRET", STRONG),
        ("BETTER_AUTH_SECRETS", &versions),
        (
            "DATABASE_URL",
            "postgres://app:hunter22@localhost/main?password=hunter22",
        ),
    ]));
    let settings = loaded.expect("all well-formed");
    let json = serde_json::to_string(settings.rows()).expect("plain data");
    for shown in [&json, &format!("{settings:?}")] {
        assert!(!shown.contains("hunter22"), "{shown}");
    }
    assert!(json.contains(
        r#"{"name":"BETTER_AUTH_SECRETS","value":"2:redacted,1:redacted","source":"environment"}"#
    ));
    assert!(json.contains(r#"{"name":"HOST","value":"127.0.0.1","source":"default"}"#));
}

/// `.env.example` beside the workspace is a `.env` that changes nothing until it is filled in.
#[test]
fn the_example_lists_every_setting_with_its_default() {
    let example = include_str!("../../../../../.env.example");
    let directory = temporary();
    let untouched =
        load(&with_dot_env(&directory, example, &[])).expect("comments alone are right");
    assert!(
        untouched
            .rows()
            .iter()
            .all(|row| row.source == Source::Default)
    );
    for (name, default) in CONTRACT {
        let prefix = format!("#{name}=");
        let value = example
            .lines()
            .find_map(|line| line.strip_prefix(&prefix))
            .expect(name);
        match default {
            "none" => {}
            "empty" => assert_eq!(value, "", "{name}"),
            _ => assert!(
                default == value || default.starts_with(&format!("{value} ")),
                "{name}"
            ),
        }
    }
    let uncommented = example.replace("\n#", "\n");
    let pasted: String = uncommented
        .lines()
        .filter(|line| !line.starts_with(' '))
        .map(|line| format!("{line}\n"))
        .collect();
    let lines = load(&with_dot_env(&directory, pasted, &[]))
        .expect_err("the example's secrets are refused");
    for line in lines.lines() {
        assert!(line.contains("published example"), "{line}");
    }
    assert_eq!(lines.lines().count(), 2, "{lines}");
}
