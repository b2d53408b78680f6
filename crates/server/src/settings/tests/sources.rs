//! Where values come from, and which one wins.

use std::os::unix::ffi::OsStringExt;

use super::*;

#[test]
fn flags_beat_the_environment_which_beats_dot_env() {
    let directory = temporary();
    let text = "HOST=127.0.0.9\nPORT=1001\nexport GATEWRIGHT_BCRYPT_COST=11 # cheap\n";
    let variables = [("HOST", "127.0.0.8"), ("PORT", "1002")];
    let sources = with_dot_env(&directory, text, &variables);
    let flags = flags(&["--host", "127.0.0.7"]);
    let settings = Settings::load(&flags, &sources, Purpose::Command).expect("all well-formed");
    let expected = [
        ("HOST", "127.0.0.7", Source::Flag),
        ("PORT", "1002", Source::Environment),
        ("GATEWRIGHT_BCRYPT_COST", "11", Source::DotEnv),
        ("GATEWRIGHT_TOKEN_TTL", "7d", Source::Default),
    ];
    for (name, value, source) in expected {
        let row = row(&settings, name);
        assert_eq!((row.value.as_str(), row.source), (value, source), "{name}");
    }
    assert_eq!(settings.host.to_string(), "127.0.0.7");
    assert_eq!(settings.port, 1002);
    assert_eq!(settings.bcrypt_cost, 11);
}

// SEC-81
#[test]
fn unknown_names_of_ours_stop_the_start() {
    let cases = [
        ("GATEWRIGHT_TOKEN_TLL", "did you mean GATEWRIGHT_TOKEN_TTL?"),
        (
            "gatewright_bcrypt_cost",
            "did you mean GATEWRIGHT_BCRYPT_COST?",
        ),
        (
            "GATEWRIGHT_ACCEPT_FOREIGN_TOKEN",
            "did you mean GATEWRIGHT_ACCEPT_FOREIGN_TOKENS?",
        ),
        (
            "GATEWRIGHT_UNHEARD_OF_THING",
            "gatewright --help lists them all",
        ),
        ("GATEWRIGHT_SERVICE_PORT_HTTP", "enableServiceLinks"),
        ("GATEWRIGHT_DOCS_FILE", "did you mean GATEWRIGHT_DOCS?"),
        ("GATEWRIGHT_PORT", "did you mean PORT?"),
        ("GATEWRIGHT_DATABASE_URL", "did you mean DATABASE_URL?"),
    ];
    let directory = temporary();
    for (name, advice) in cases {
        let of_environment = set(name, "hunter22").expect_err(name);
        let of_dot_env = with_dot_env(&directory, format!("{name}=hunter22\n"), &[]);
        for line in [of_environment, load(&of_dot_env).expect_err(name)] {
            assert!(
                line.starts_with(&format!("{name}: is not a setting; ")),
                "{line}"
            );
            assert!(line.contains(advice), "{line}");
            assert!(!line.contains("hunter22") && !line.contains('\n'), "{line}");
        }
    }
    set("BETTER_AUTH_URL", "http://localhost:3000").expect("names of others are not our business");
}

#[test]
fn a_malformed_dot_env_is_one_line_without_its_values() {
    let directory = temporary();
    let cases: [(&[u8], &str); 7] = [
        (
            b"PORT=1\n\nhunter22 hunter22\n",
            ".env: line 3 is not NAME=value",
        ),
        (
            b"# note\nRUST_LOG='hunter22",
            ".env: line 2 is not NAME=value",
        ),
        (
            b"OTHER=hunter22 hunter22\n",
            ".env: line 1 is not NAME=value",
        ),
        (
            b"PORT=1\nRUST_LOG=\xff hunter22\n",
            ".env: line 2 is not valid UTF-8",
        ),
        (
            b"PORT=1\nOTHER=1\nPORT=1\n",
            "PORT: is set a second time at line 3 of .env",
        ),
        (
            b"# $\nOTHER=$x\nBETTER_AUTH_SECRET=hunter22$xyz\n",
            "BETTER_AUTH_SECRET: has a $ at line 3 of .env",
        ),
        (
            b"DATABASE_URL=\"postgres://u:hunter22${x}@h/db\"\n",
            "DATABASE_URL: has a $ at line 1 of .env",
        ),
    ];
    for (text, beginning) in cases {
        let sources = with_dot_env(&directory, text, &[]);
        let line = Settings::load(&SettingsFlags::default(), &sources, Purpose::Serve)
            .expect_err(beginning)
            .to_string();
        assert!(line.starts_with(beginning), "{line}");
        assert!(!line.contains("hunter22") && !line.contains('\n'), "{line}");
    }
}

#[test]
fn dot_env_takes_what_others_keep_there() {
    let directory = temporary();
    let text = "\u{feff}PORT=1001\r\nPEM=\"first\nsecond $x\nthird\"\nURL=http://${HOST}\n\
                BETTER_AUTH_SECRET='hunter22-$0123456789abcdef-$0123456789' # kept exactly\nGATEWRIGHT_DOCS=true ";
    let settings = load(&with_dot_env(&directory, text, &[])).expect("all well-formed");
    assert_eq!(settings.port, 1001);
    assert!(settings.docs);
    let secrets = settings.secrets.expect("set");
    assert_eq!(
        secrets.signing().secret.expose_bytes(),
        b"hunter22-$0123456789abcdef-$0123456789"
    );

    let absent = Sources {
        dot_env: Some(directory.path().join("absent")),
        ..Sources::default()
    };
    load(&absent).expect(".env need not exist");
}

// SEC-80
#[test]
fn a_secret_file_loses_the_one_line_break_that_ends_it() {
    let directory = temporary();
    let path = directory.path().join("secret");
    for ending in ["", "\n", "\r\n"] {
        fs::write(&path, format!("{STRONG}{ending}")).expect("written");
        let by_environment = environment(&[("BETTER_AUTH_SECRET_FILE", path_text(&path))]);
        let line = format!("BETTER_AUTH_SECRET_FILE={}\n", path_text(&path));
        for sources in [by_environment, with_dot_env(&directory, line, &[])] {
            let settings = load(&sources).expect("strong");
            assert_eq!(row(&settings, "BETTER_AUTH_SECRET").source, Source::File);
            let secrets = settings.secrets.expect("set");
            assert_eq!(secrets.signing().secret.expose_bytes(), STRONG.as_bytes());
        }
    }
    for (text, reason) in [
        (format!("{STRONG}\n\n"), "line break"),
        (String::from("\n"), "is empty"),
        ("x".repeat(65 * 1024), "longer than"),
    ] {
        fs::write(&path, text).expect("written");
        let line = set("BETTER_AUTH_SECRET_FILE", path_text(&path)).expect_err(reason);
        assert!(
            line.starts_with("BETTER_AUTH_SECRET_FILE: ") && line.contains(reason),
            "{line}"
        );
    }
    fs::write(&path, "postgres://app:hunter22@localhost/main\n").expect("written");
    let settings = set("DATABASE_URL_FILE", path_text(&path)).expect("well-formed");
    assert_eq!(
        settings.database.redacted(),
        "postgres://app:redacted@localhost/main"
    );
}

#[test]
fn a_value_and_its_file_together_are_ambiguous() {
    let directory = temporary();
    for name in ["BETTER_AUTH_SECRET", "BETTER_AUTH_SECRETS", "DATABASE_URL"] {
        let file_name = format!("{name}_FILE");
        let beginning = format!("{name}: is set together with {file_name}");
        let both = environment(&[(name, STRONG), (&file_name, "/nowhere")]);
        let apart = with_dot_env(
            &directory,
            format!("{file_name}=/nowhere\n"),
            &[(name, STRONG)],
        );
        for sources in [both, apart] {
            let line = load(&sources).expect_err(name);
            assert!(
                line.starts_with(&beginning) && !line.contains("hunter22"),
                "{line}"
            );
        }
    }
}

#[test]
fn a_value_that_is_not_text_is_one_line() {
    for name in ["HOST", "BETTER_AUTH_SECRET", "DATABASE_URL_FILE"] {
        let sources = Sources {
            environment: vec![(name.into(), OsString::from_vec(vec![b'x', 0xff]))],
            dot_env: None,
        };
        assert_eq!(
            load(&sources).expect_err(name),
            format!("{name}: is not valid UTF-8")
        );
    }
}
