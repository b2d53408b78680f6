//! One setting at a time: what it accepts, and the line for what it refuses.

use super::*;

/// Values each variable refuses; `hunter22` stands for what no message may repeat.
const MALFORMED: &[(&str, &[&str])] = &[
    ("JWT_ALGORITHM", &["", "hs256", "none", "RS256"]),
    (
        "HOST",
        &["", "example.com", "127.0.0.1:80", "[::1]", "::g", "a\nb"],
    ),
    ("PORT", &["", "-1", "65536", "+80", "http", "8000 ", "0x50"]),
    (
        "GATEWRIGHT_TOKEN_TTL",
        &[
            "",
            "7x",
            "7",
            "d",
            "0s",
            "31d",
            "2592001s",
            "-1s",
            "1.5d",
            "7D",
            "1d2h",
            "99999999999999999999d",
        ],
    ),
    ("GATEWRIGHT_PASSWORD_POLICY", &["", "Spec", "none"]),
    ("GATEWRIGHT_PASSWORD_HASH", &["", "argon2", "md5"]),
    ("GATEWRIGHT_BCRYPT_COST", &["", "9", "16", "twelve"]),
    (
        "GATEWRIGHT_CORS_ORIGINS",
        &[
            "*",
            "null",
            "https://*.example.com",
            "https://example.com/",
            "https://example.com/path",
            "https://example.com?x",
            "https://user:hunter22@example.com",
            "https://example.com:0",
            "https://example.com:",
            "https://example.com:99999",
            "https://",
            "https://exa mple.com",
            "https://example..com",
            "https://bücher.example",
            "https://[::1",
            "example.com",
            "1http://example.com",
            "https://example.com,",
            " ",
        ],
    ),
    (
        "GATEWRIGHT_TRUSTED_PROXIES",
        &[
            "proxy.example.com",
            "10.0.0.0/33",
            "10.0.0",
            "10.0.0.1,",
            "0.0.0.0/0",
            "::/0",
            "*",
        ],
    ),
    (
        "GATEWRIGHT_LOGIN_FAILURE_LIMIT",
        &["", "0", "off", "-1", "1000001"],
    ),
    (
        "GATEWRIGHT_CLIENT_FAILURE_LIMIT",
        &[
            "", "0/min", "100", "100/", "/min", "100/day", "100/5min", "OFF", "-1/s",
        ],
    ),
    (
        "GATEWRIGHT_ACCEPT_FOREIGN_TOKENS",
        &["", "1", "yes", "True"],
    ),
    ("GATEWRIGHT_DOCS", &["", "on", "TRUE"]),
    ("GATEWRIGHT_LOG_FORMAT", &["", "JSON", "logfmt"]),
    ("RUST_LOG", &["", "gatewright=loud", "a=b=c"]),
    (
        "DATABASE_URL",
        &[
            "",
            "mysql://u:hunter22@h/db",
            "postgres://u:hunter22@h/db?sslmode=prefer",
        ],
    ),
    ("DATABASE_URL_FILE", &["", "/no/such/hunter22"]),
    (
        "BETTER_AUTH_SECRET",
        &["", "hunter22", "hunter22hunter22hunter22hunter22hunter22"],
    ),
    ("BETTER_AUTH_SECRETS", &["", "hunter22", "1:hunter22"]),
    ("BETTER_AUTH_SECRET_FILE", &["", "/no/such/hunter22"]),
];

// SEC-81
#[test]
fn a_malformed_value_is_one_line_that_names_the_variable() {
    for (name, values) in MALFORMED {
        for value in *values {
            let line = set(name, value).expect_err(&format!("{name}={value:?}"));
            assert!(line.starts_with(&format!("{name}: ")), "{value:?}: {line}");
            assert!(!line.contains('\n'), "{name}={value:?}: {line}");
            assert!(!line.contains("hunter22"), "{name}={value:?}: {line}");
            assert_eq!(line.contains("is empty"), value.is_empty(), "{line}");
        }
    }
    assert_eq!(
        set("GATEWRIGHT_TOKEN_TTL", "7x").expect_err("malformed"),
        "GATEWRIGHT_TOKEN_TTL: \"7x\" is not a duration such as 2s, 15m or 7d"
    );
}

#[test]
fn well_formed_values_become_types() {
    for (value, seconds) in [
        ("1s", 1),
        ("2s", 2),
        ("15m", 900),
        ("12h", 43_200),
        ("30d", 2_592_000),
    ] {
        let settings = set("GATEWRIGHT_TOKEN_TTL", value).expect(value);
        assert_eq!(settings.token_ttl.as_secs(), seconds);
    }
    for (value, address) in [
        ("localhost", "127.0.0.1"),
        ("0.0.0.0", "0.0.0.0"),
        ("::1", "::1"),
    ] {
        assert_eq!(set("HOST", value).expect(value).host.to_string(), address);
    }
    for (value, count, seconds) in [
        ("5/s", 5, 1),
        ("100/min", 100, 60),
        ("1000000/h", 1_000_000, 3600),
    ] {
        let limit = set("GATEWRIGHT_CLIENT_FAILURE_LIMIT", value)
            .expect(value)
            .client_failure_limit;
        let period = Duration::from_secs(seconds);
        assert_eq!(limit, Some(RateLimit { count, period }));
    }
    let loaded = load(&environment(&[
        ("PORT", "0"),
        ("GATEWRIGHT_PASSWORD_POLICY", "nist"),
        ("GATEWRIGHT_PASSWORD_HASH", "argon2id"),
        ("GATEWRIGHT_BCRYPT_COST", "15"),
        ("GATEWRIGHT_LOGIN_FAILURE_LIMIT", "1"),
        ("GATEWRIGHT_CLIENT_FAILURE_LIMIT", "off"),
        ("GATEWRIGHT_ACCEPT_FOREIGN_TOKENS", "true"),
        ("GATEWRIGHT_DOCS", "true"),
        ("GATEWRIGHT_LOG_FORMAT", "json"),
        ("RUST_LOG", "gatewright=debug,warn"),
    ]));
    let settings = loaded.expect("all well-formed");
    assert_eq!(settings.port, 0);
    assert_eq!(settings.password_policy, PasswordPolicy::Nist);
    assert_eq!(settings.password_hash, PasswordHash::Argon2id);
    assert_eq!(settings.bcrypt_cost, 15);
    assert_eq!(settings.login_failure_limit, 1);
    assert_eq!(settings.client_failure_limit, None);
    assert!(settings.accept_foreign_tokens && settings.docs);
    assert_eq!(settings.log_format, LogFormat::Json);
    assert_eq!(settings.log_filter, "gatewright=debug,warn");
}

// SEC-72
#[test]
fn origins_take_the_form_browsers_send() {
    let given = "https://App.Example.com, http://localhost:3000,https://a.example:443,http://[::0001]:80,\
                 http://a.example:443,capacitor://localhost";
    let origins = set("GATEWRIGHT_CORS_ORIGINS", given)
        .expect(given)
        .cors_origins;
    let sent = [
        "https://app.example.com",
        "http://localhost:3000",
        "https://a.example",
        "http://[::1]",
        "http://a.example:443",
        "capacitor://localhost",
    ];
    assert_eq!(origins, sent);
    assert!(
        set("GATEWRIGHT_CORS_ORIGINS", "")
            .expect("empty is the default")
            .cors_origins
            .is_empty()
    );
}

// SEC-18
#[test]
fn a_bare_proxy_address_is_one_host() {
    let given = "10.0.0.7, fd00::1,192.168.5.4/16,2001:db8::/32";
    let networks = set("GATEWRIGHT_TRUSTED_PROXIES", given)
        .expect(given)
        .trusted_proxies;
    let shown: Vec<_> = networks.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "10.0.0.7/32",
            "fd00::1/128",
            "192.168.0.0/16",
            "2001:db8::/32"
        ]
    );
    assert!(
        set("GATEWRIGHT_TRUSTED_PROXIES", "")
            .expect("empty is the default")
            .trusted_proxies
            .is_empty()
    );
}
