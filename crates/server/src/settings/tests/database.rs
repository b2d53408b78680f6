//! Addresses of databases: what is accepted, how it is protected, what is shown.

use std::path::PathBuf;

use secrecy::ExposeSecret;

use super::*;

fn postgres(text: &str) -> PostgresUrl {
    match DatabaseUrl::parse(text).expect(text) {
        DatabaseUrl::Postgres(url) => url,
        DatabaseUrl::Sqlite(path) => panic!("{text} became {path:?}"),
    }
}

fn verify_full() -> Tls {
    Tls::VerifyFull {
        root_certificate: None,
    }
}

#[test]
fn sqlite_paths() {
    let accepted = [
        ("sqlite://gatewright.db", "gatewright.db"),
        ("sqlite:data/gatewright.db", "data/gatewright.db"),
        ("sqlite:///var/lib/gatewright.db", "/var/lib/gatewright.db"),
        ("sqlite:/var/lib/gatewright.db", "/var/lib/gatewright.db"),
    ];
    for (text, path) in accepted {
        match DatabaseUrl::parse(text) {
            Ok(DatabaseUrl::Sqlite(parsed)) => assert_eq!(parsed, PathBuf::from(path)),
            other => panic!("{text}: {other:?}"),
        }
    }
    let refused = [
        ("sqlite://", "names no SQLite file"),
        ("sqlite:///data/", "names no SQLite file"),
        ("sqlite://gatewright.db?mode=ro", "takes no options"),
        ("sqlite://:memory:", "in-memory"),
        ("sqlite::memory:", "in-memory"),
        ("sqlite:file:gatewright.db", "file:"),
        ("sqlite://a\nb.db", "control character"),
        ("mysql://localhost/accounts", "does not begin with"),
        ("gatewright.db", "does not begin with"),
    ];
    for (text, reason) in refused {
        let problem = DatabaseUrl::parse(text).expect_err(text);
        assert!(problem.contains(reason), "{text}: {problem}");
    }
}

// SEC-82
#[test]
fn protection_follows_the_host_and_the_mode() {
    let cases = [
        ("postgres://u:p@localhost/db", Tls::Disable),
        ("postgres://u:p@127.0.0.2:5433/db", Tls::Disable),
        ("postgres://u:p@[::1]/db", Tls::Disable),
        ("postgresql://u:p@localhost/db?sslmode=prefer", Tls::Disable),
        ("postgres://u:p@localhost/db?sslmode=require", verify_full()),
        ("postgres:///db?host=/run/postgresql", Tls::Disable),
        (
            "postgres://u@%2Frun%2Fpostgresql/db?sslmode=require",
            Tls::Disable,
        ),
        ("postgres://u:p@db.example.com/db", verify_full()),
        ("postgres://u:p@10.0.0.7/db", verify_full()),
        ("postgres://u:p@localhost.example.com/db", verify_full()),
        ("postgres://u:p@localhost,db.example.com/db", verify_full()),
        (
            "postgres://u:p@localhost/db?host=db.example.com",
            verify_full(),
        ),
        (
            "postgres://u:p@localhost/db?hostaddr=10.0.0.7",
            verify_full(),
        ),
        (
            "postgres://u:p@db.example.com/db?sslmode=require",
            verify_full(),
        ),
        (
            "postgres://u:p@db.example.com/db?sslmode=verify-ca",
            verify_full(),
        ),
        (
            "postgres://u:p@db.example.com/db?sslmode=verify-full",
            verify_full(),
        ),
        (
            "postgres://u:p@db.example.com/db?sslrootcert=system",
            verify_full(),
        ),
        (
            "postgres://u:p@db.example.com/db?sslmode=disable",
            Tls::Disable,
        ),
        (
            "postgres://u:p@db.example.com/db?sslmode=verify-full&sslrootcert=/etc/ca.pem",
            Tls::VerifyFull {
                root_certificate: Some("/etc/ca.pem".into()),
            },
        ),
    ];
    for (text, tls) in cases {
        let url = postgres(text);
        assert_eq!(url.tls(), &tls, "{text}");
        let config: tokio_postgres::Config = url
            .config_url()
            .expose_secret()
            .parse()
            .expect("the driver reads what was accepted");
        let mode = match tls {
            Tls::Disable => tokio_postgres::config::SslMode::Disable,
            Tls::VerifyFull { .. } => tokio_postgres::config::SslMode::Require,
        };
        assert_eq!(config.get_ssl_mode(), mode, "{text}");
    }
}

#[test]
fn the_driver_gets_everything_but_the_protection() {
    let url = postgres(
        "postgresql://app:p%40ss%2Fw%3Frd%25@ep-x.eu.neon.tech:5433/main\
         ?sslmode=verify-full&channel_binding=require&sslrootcert=/ca.pem&application_name=gatewright",
    );
    assert_eq!(
        url.config_url().expose_secret(),
        "postgresql://app:p%40ss%2Fw%3Frd%25@ep-x.eu.neon.tech:5433/main\
         ?channel_binding=require&application_name=gatewright&sslmode=require"
    );
    let config: tokio_postgres::Config =
        url.config_url().expose_secret().parse().expect("accepted");
    assert_eq!(config.get_password(), Some(&b"p@ss/w?rd%"[..]));
    assert_eq!(config.get_ports(), [5433]);
}

#[test]
fn refusals_never_show_the_password() {
    let refused = [
        (
            "postgres://u:hunter2@db.example.com/db?sslmode=prefer",
            "sslmode=prefer",
        ),
        (
            "postgres://u:hunter2@db.example.com/db?sslmode=allow",
            "sslmode=allow",
        ),
        (
            "postgres://u:hunter2@localhost/db?sslmode=on",
            "is not disable",
        ),
        (
            "postgres://u:hunter2@localhost/db?sslmode=require&sslmode=disable",
            "twice",
        ),
        (
            "postgres://u:hunter2@localhost/db?pgbouncer=true",
            "\"pgbouncer\"",
        ),
        (
            "postgres://u:hunter2@localhost/db?sslrootcert=",
            "sslrootcert",
        ),
        (
            "postgres://u:hunter2@localhost/db?ssl%6Dode=disable",
            "name=value",
        ),
        ("postgres://u:x@hunter2@localhost/db", "%40"),
        ("postgres://u:x/hunter2@localhost/db", "%2F"),
        ("postgres://u:x?hunter2=1@localhost/db", "%3F"),
        ("postgres://u:x?hunter2=1", "special characters"),
        (
            "postgres://u:hunter2@localhost:port/db",
            "is not an address",
        ),
        ("postgres://u:hunter2@/db", "names no host"),
        (
            "postgres+asyncpg://u:hunter2@localhost/db",
            "does not begin with",
        ),
    ];
    for (text, reason) in refused {
        let problem = DatabaseUrl::parse(text).expect_err(text);
        assert!(problem.contains(reason), "{text}: {problem}");
        assert!(!problem.contains("hunter2"), "{problem}");
    }
}

#[test]
fn redaction_keeps_all_but_the_password() {
    let shown = "postgres://app:redacted@db.example.com/main?password=redacted&sslmode=disable";
    let url =
        postgres("postgres://app:hunter2@db.example.com/main?password=hunter2&sslmode=disable");
    assert_eq!(url.redacted(), shown);
    assert!(!format!("{url:?}").contains("hunter2"));
    assert_eq!(
        postgres("postgres://app@localhost/main").redacted(),
        "postgres://app@localhost/main"
    );
}
