//! Where the accounts are kept, and how the way there is protected.

use std::{fmt, net::IpAddr, path::PathBuf};

use secrecy::SecretString;
use tokio_postgres::config::Host;

use super::parse::shown;

/// The database that `DATABASE_URL` names.
#[derive(Debug, Clone)]
pub enum DatabaseUrl {
    /// A SQLite file; a relative path is relative to the working directory.
    Sqlite(PathBuf),
    /// A PostgreSQL server.
    Postgres(PostgresUrl),
}

/// An address of a PostgreSQL server whose text may hold a password, with the protection of the way there decided.
#[derive(Clone)]
pub struct PostgresUrl {
    config_url: SecretString,
    redacted: String,
    tls: Tls,
}

/// How connections to PostgreSQL are protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// None: a Unix socket, a loopback address, or an explicit `sslmode=disable`.
    Disable,
    /// The certificate must be valid, lead to a trusted root and carry the server's name.
    VerifyFull {
        /// A PEM file with the roots to trust instead of the public ones (`sslrootcert`).
        root_certificate: Option<PathBuf>,
    },
}

impl DatabaseUrl {
    /// # Errors
    /// Says what is wrong without repeating anything a password may be part of.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.chars().any(char::is_control) {
            Err("contains a control character".to_owned())
        } else if let Some(path) = text.strip_prefix("sqlite:") {
            sqlite_path(path.strip_prefix("//").unwrap_or(path)).map(Self::Sqlite)
        } else if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            PostgresUrl::parse(text).map(Self::Postgres)
        } else {
            Err("does not begin with sqlite://, postgres:// or postgresql://".to_owned())
        }
    }

    /// The address without its password, for people and logs.
    pub fn redacted(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite://{}", path.display()),
            Self::Postgres(url) => url.redacted.clone(),
        }
    }
}

impl PostgresUrl {
    /// The address for `tokio_postgres::Config`. `sslrootcert` is taken out and `sslmode` is `disable` or `require` as
    /// [`tls`](Self::tls) says, so that the driver never falls back to an unprotected connection.
    pub fn config_url(&self) -> &SecretString {
        &self.config_url
    }

    /// How to protect the connection (SEC-82).
    pub fn tls(&self) -> &Tls {
        &self.tls
    }

    /// The address without its password, for people and logs.
    pub fn redacted(&self) -> &str {
        &self.redacted
    }

    fn parse(text: &str) -> Result<Self, String> {
        let (address, query) = text.split_once('?').unwrap_or((text, ""));
        // The driver reads everything before the first @ as user and password. Were that to hold the characters that
        // end an authority (RFC 3986 section 3.2), this function and the driver could see two different hosts.
        let (scheme, authority) = address.split_once("://").unwrap_or(("", address));
        let (credentials, location) = authority.rsplit_once('@').unwrap_or(("", authority));
        if credentials.contains(['@', '/']) || query.contains('@') {
            return Err(
                "has more than one reading; write @ / ? of a user, password or option \
                 as %40 %2F %3F"
                    .to_owned(),
            );
        }
        let mut tls_options = TlsOptions::default();
        let mut driver_options: Vec<&str> = Vec::new();
        for option in query.split('&').filter(|option| !option.is_empty()) {
            if !tls_options.take(option)? {
                driver_options.push(option);
            }
        }
        let config = driver_config(address, &driver_options)?;
        let tls = tls_options.decide(Reach::of(&config)?)?;
        driver_options.push(match tls {
            Tls::Disable => "sslmode=disable",
            Tls::VerifyFull { .. } => "sslmode=require",
        });
        Ok(Self {
            config_url: join(address, &driver_options).into(),
            redacted: redact(scheme, credentials, location, query),
            tls,
        })
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PostgresUrl({}, {:?})", self.redacted, self.tls)
    }
}

/// The part of the options that the driver does not know or would read more weakly.
#[derive(Default)]
struct TlsOptions {
    mode: Option<String>,
    root_certificate: Option<PathBuf>,
}

impl TlsOptions {
    /// Keeps `option` if it is one of ours; `false` when it is the driver's.
    fn take(&mut self, option: &str) -> Result<bool, String> {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        if !is_option_name(key) {
            return Err("has an option that is not name=value".to_owned());
        }
        let already_given = match key {
            "sslmode" => self.mode.replace(value.to_owned()).is_some(),
            // As in libpq, `system` stands for the public roots, which are also the default here.
            "sslrootcert" if value == "system" => false,
            "sslrootcert" if value.is_empty() || value.contains('%') => {
                return Err("has an empty or percent-encoded sslrootcert".to_owned());
            }
            "sslrootcert" => self.root_certificate.replace(value.into()).is_some(),
            _ => return Ok(false),
        };
        if already_given {
            return Err(format!("gives {key} twice"));
        }
        Ok(true)
    }

    /// Beyond this machine everything is fully verified unless `sslmode=disable` says otherwise, also `require` and
    /// `verify-ca`, which in libpq accept a stranger's certificate.
    fn decide(self, reach: Reach) -> Result<Tls, String> {
        let verify = Tls::VerifyFull {
            root_certificate: self.root_certificate,
        };
        match (self.mode.as_deref(), reach) {
            (Some("disable"), _) => Ok(Tls::Disable),
            (None | Some("prefer" | "allow"), Reach::Loopback | Reach::UnixSocket) => {
                Ok(Tls::Disable)
            }
            (Some("require" | "verify-ca" | "verify-full"), Reach::UnixSocket) => Ok(Tls::Disable),
            (Some("require" | "verify-ca" | "verify-full"), _) | (None, Reach::Remote) => {
                Ok(verify)
            }
            (Some(mode @ ("prefer" | "allow")), Reach::Remote) => Err(format!(
                "sslmode={mode} may send passwords unprotected to another machine; use verify-full, or disable to \
                 accept that"
            )),
            (Some(mode), _) => Err(format!(
                "sslmode={} is not disable, require, verify-ca or verify-full",
                shown(mode)
            )),
        }
    }
}

/// How far connections travel; of several hosts the farthest counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    UnixSocket,
    Loopback,
    Remote,
}

impl Reach {
    fn of(config: &tokio_postgres::Config) -> Result<Self, String> {
        let of_address = |address: IpAddr| match address.to_canonical().is_loopback() {
            true => Self::Loopback,
            false => Self::Remote,
        };
        // The driver connects to hostaddr where both are given.
        let addresses = config.get_hostaddrs().iter().copied().map(of_address);
        let hosts = config.get_hosts().iter().map(|host| match host {
            #[cfg(unix)]
            Host::Unix(_) => Self::UnixSocket,
            Host::Tcp(name) if name.eq_ignore_ascii_case("localhost") => Self::Loopback,
            Host::Tcp(name) => name.parse().map_or(Self::Remote, of_address),
        });
        let farthest = match config.get_hostaddrs() {
            [] => hosts.max(),
            _ => addresses.max(),
        };
        farthest.ok_or_else(|| "names no host".to_owned())
    }
}

fn sqlite_path(path: &str) -> Result<PathBuf, String> {
    let problem = if path.contains('?') {
        "takes no options after a SQLite path"
    } else if path.contains(":memory:") {
        "must name a file: an in-memory database would lose every account at the end"
    } else if path.is_empty() || path.ends_with('/') {
        "names no SQLite file; write sqlite://gatewright.db or sqlite:///absolute/path.db"
    } else if path.starts_with("file:") {
        // SQLite would read the rest as a URI.
        "has a SQLite path that begins with file:"
    } else {
        return Ok(path.into());
    };
    Err(problem.to_owned())
}

/// Parses as the driver does, but its errors are not passed on: they may quote a part of a misplaced password.
fn driver_config(address: &str, options: &[&str]) -> Result<tokio_postgres::Config, String> {
    join(address, options).parse().map_err(|_| {
        let unknown = options
            .iter()
            .map(|option| option.split_once('=').map_or(*option, |(key, _)| key))
            .find(|key| !DRIVER_OPTIONS.contains(key));
        match unknown {
            // Behind an @ the password is over.
            Some(key) if address.contains('@') => format!(
                "has the unknown option {key:?}; known are sslmode, sslrootcert, {}",
                DRIVER_OPTIONS.join(", ")
            ),
            _ => "is not an address such as postgres://user:password@host:5432/name (special characters of a \
                  password are percent-encoded)"
                .to_owned(),
        }
    })
}

/// The options of a URL that `tokio_postgres::Config` knows, for the message only; `sslmode` is put in by us.
const DRIVER_OPTIONS: [&str; 18] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "password",
    "port",
    "sslnegotiation",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

fn is_option_name(key: &str) -> bool {
    !key.is_empty()
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn join(address: &str, options: &[&str]) -> String {
    match options {
        [] => address.to_owned(),
        _ => format!("{address}?{}", options.join("&")),
    }
}

fn redact(scheme: &str, credentials: &str, location: &str, query: &str) -> String {
    let user = match credentials.split_once(':') {
        Some((user, _)) => format!("{user}:redacted@"),
        None if credentials.is_empty() => String::new(),
        None => format!("{credentials}@"),
    };
    let options: Vec<_> = query
        .split('&')
        .filter(|option| !option.is_empty())
        .map(|option| match option.starts_with("password=") {
            true => "password=redacted",
            false => option,
        })
        .collect();
    join(&format!("{scheme}://{user}{location}"), &options)
}
