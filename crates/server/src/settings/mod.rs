//! The settings of the server: read here, checked once, typed ever after.
//!
//! A value comes from a flag, else from the environment, else from `.env`, else it is the default. [`SettingsFlags`] is
//! flattened into the verbs that take flags; [`Settings::load`] combines it with [`Sources`] and answers with either
//! the typed settings or one line per mistake. Nothing else in the program reads the environment.

mod database;
mod definitions;
mod parse;
mod secrets;
mod sources;
#[cfg(test)]
mod tests;

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;
use serde::Serialize;
use thiserror::Error;

pub use database::{DatabaseUrl, PostgresUrl, Tls};
pub use definitions::{SettingsFlags, settings_help};
pub use secrets::{Secret, Secrets, VersionedSecret};
pub use sources::{Source, Sources};

use definitions::Definition;
use sources::Inputs;

/// What the settings are loaded for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// `gatewright serve`: a secret is required.
    Serve,
    /// `gatewright dev`: documentation is on by default, and only a loopback address may be listened on.
    Dev,
    /// Every other verb: nothing is required, but what is given must be right.
    Command,
}

/// All settings, checked and typed.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `BETTER_AUTH_SECRETS`, else `BETTER_AUTH_SECRET`. With [`Purpose::Serve`] there always is one.
    ///
    /// When both are set the first governs alone: removing a version from it must end that version's tokens, which a
    /// forgotten `BETTER_AUTH_SECRET` with the same text would otherwise keep alive.
    pub secrets: Option<Secrets>,
    /// `DATABASE_URL`.
    pub database: DatabaseUrl,
    /// `HOST`.
    pub host: IpAddr,
    /// `PORT`; 0 takes any free one.
    pub port: u16,
    /// `GATEWRIGHT_TOKEN_TTL`: whole seconds, from one second to 30 days.
    pub token_ttl: Duration,
    /// `GATEWRIGHT_PASSWORD_POLICY`.
    pub password_policy: PasswordPolicy,
    /// `GATEWRIGHT_PASSWORD_HASH`.
    pub password_hash: PasswordHash,
    /// `GATEWRIGHT_BCRYPT_COST`: 10 to 15.
    pub bcrypt_cost: u32,
    /// `GATEWRIGHT_CORS_ORIGINS`, each exactly as a browser sends it in `Origin` (SEC-72).
    pub cors_origins: Vec<String>,
    /// `GATEWRIGHT_TRUSTED_PROXIES`: peers whose `X-Forwarded-For` is believed (SEC-18).
    pub trusted_proxies: Vec<IpNet>,
    /// `GATEWRIGHT_LOGIN_FAILURE_LIMIT`: 1 or more.
    pub login_failure_limit: u32,
    /// `GATEWRIGHT_CLIENT_FAILURE_LIMIT`; `None` when it is off.
    pub client_failure_limit: Option<RateLimit>,
    /// `GATEWRIGHT_ACCEPT_FOREIGN_TOKENS`.
    pub accept_foreign_tokens: bool,
    /// `GATEWRIGHT_DOCS`.
    pub docs: bool,
    /// `GATEWRIGHT_LOG_FORMAT`.
    pub log_format: LogFormat,
    /// `RUST_LOG`: directives that `EnvFilter` has already parsed once.
    pub log_filter: String,
    rows: Vec<Row>,
}

/// The rules for new passwords.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordPolicy {
    /// 8 or more characters with a digit and a special character.
    Spec,
    /// 15 or more characters, no composition rule, common ones refused (NIST SP 800-63B-4).
    Nist,
}

/// The hash of new passwords.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordHash {
    /// bcrypt, and argon2id for the passwords bcrypt would cut.
    Bcrypt,
    /// argon2id for all.
    Argon2id,
}

/// The form of the log's lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// So many events in so long a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// 1 to 1,000,000.
    pub count: u32,
    /// One second, minute or hour.
    pub period: Duration,
}

/// One effective setting, as `gatewright config` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The variable.
    pub name: &'static str,
    /// The value in force; a secret or password in it is replaced by `redacted`.
    pub value: String,
    /// Where the value came from.
    pub source: Source,
}

/// Why the program must not start: one line per mistake, each beginning with the variable's name. No line contains a
/// secret or a password.
#[derive(Debug, Error)]
#[error("{}", lines.join("\n"))]
pub struct SettingsError {
    lines: Vec<String>,
}

impl Settings {
    /// Reads and checks every setting.
    ///
    /// # Errors
    /// All mistakes at once (SEC-79, SEC-81): malformed or empty values, unknown `GATEWRIGHT_*` names, a missing or weak
    /// secret; a broken `.env` hides the rest. The caller prints the error to standard error and exits with code 2.
    pub fn load(
        flags: &SettingsFlags,
        sources: &Sources,
        purpose: Purpose,
    ) -> Result<Self, SettingsError> {
        let mut problems = Vec::new();
        let inputs = Inputs::collect(flags, sources, &mut problems)
            .map_err(|line| SettingsError { lines: vec![line] })?;
        let mut check = Check {
            inputs,
            problems,
            rows: Vec::new(),
        };
        let settings = check.settings(purpose);
        match check.problems.is_empty() {
            true => Ok(Self {
                rows: check.rows,
                ..settings
            }),
            false => Err(SettingsError {
                lines: check.problems,
            }),
        }
    }

    /// Every setting with its effective value and source, in the order of the help.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }
}

/// Collects mistakes and rows while values are parsed.
struct Check<'a> {
    inputs: Inputs<'a>,
    problems: Vec<String>,
    rows: Vec<Row>,
}

impl Check<'_> {
    fn settings(&mut self, purpose: Purpose) -> Settings {
        let secrets = self.secrets(purpose);
        self.value(&definitions::JWT_ALGORITHM, parse::algorithm);
        let database = self.listed_value(
            &definitions::DATABASE_URL,
            DatabaseUrl::parse,
            |_, database| database.redacted(),
        );
        let host = self.value(&definitions::HOST, parse::host);
        if purpose == Purpose::Dev && !host.is_loopback() {
            self.problems.push(format!(
                "HOST: {host} can be reached from outside, but gatewright dev listens on loopback only"
            ));
        }
        Settings {
            secrets,
            database,
            host,
            port: self.value(&definitions::PORT, parse::port),
            token_ttl: self.value(&definitions::TOKEN_TTL, parse::token_ttl),
            password_policy: self.value(&definitions::PASSWORD_POLICY, parse::password_policy),
            password_hash: self.value(&definitions::PASSWORD_HASH, parse::password_hash),
            bcrypt_cost: self.value(&definitions::BCRYPT_COST, parse::bcrypt_cost),
            cors_origins: self.value(&definitions::CORS_ORIGINS, parse::cors_origins),
            trusted_proxies: self.value(&definitions::TRUSTED_PROXIES, parse::trusted_proxies),
            login_failure_limit: self.value(
                &definitions::LOGIN_FAILURE_LIMIT,
                parse::login_failure_limit,
            ),
            client_failure_limit: self.value(
                &definitions::CLIENT_FAILURE_LIMIT,
                parse::client_failure_limit,
            ),
            accept_foreign_tokens: self.value(&definitions::ACCEPT_FOREIGN_TOKENS, parse::boolean),
            docs: self.value(definitions::docs_for(purpose), parse::boolean),
            log_format: self.value(&definitions::LOG_FORMAT, parse::log_format),
            log_filter: self.value(&definitions::RUST_LOG, parse::log_filter),
            rows: Vec::new(),
        }
    }

    fn secrets(&mut self, purpose: Purpose) -> Option<Secrets> {
        const FRESH: &str = "\"gatewright secret\" prints a fresh one";
        let problems_before = self.problems.len();
        let single = self.given(&definitions::SECRET, |text| {
            Secret::new(text)
                .map(Secrets::single)
                .map_err(|weakness| format!("{weakness}; {FRESH}"))
        });
        let versioned = self.given(&definitions::SECRETS, Secrets::parse);
        for (definition, given) in [
            (&definitions::SECRET, &single),
            (&definitions::SECRETS, &versioned),
        ] {
            let (value, source) = match given {
                Some((secrets, source)) => (secrets.redacted(), *source),
                None => ("not set".to_owned(), Source::Default),
            };
            self.row(definition, value, source);
        }
        let governing = versioned.or(single).map(|(secrets, _)| secrets);
        let is_missing = governing.is_none() && self.problems.len() == problems_before;
        if is_missing && purpose == Purpose::Serve {
            self.problems
                .push(format!("BETTER_AUTH_SECRET: is not set; {FRESH}"));
        }
        governing
    }

    /// A setting whose value may be listed as it was given.
    fn value<T>(
        &mut self,
        definition: &Definition,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        self.listed_value(definition, parse, |text, _| text.to_owned())
    }

    /// A setting that is listed as `list` shows it.
    fn listed_value<T>(
        &mut self,
        definition: &Definition,
        parse: impl Fn(&str) -> Result<T, String>,
        list: impl Fn(&str, &T) -> String,
    ) -> T {
        let parse_and_list = |text: &str| parse(text).map(|value| (list(text, &value), value));
        let ((listed, value), source) = self
            .given(definition, parse_and_list)
            .unwrap_or_else(|| default_of(definition, parse_and_list));
        self.row(definition, listed, source);
        value
    }

    /// A setting as it was given; `None` also after a mistake, which is then on record.
    fn given<T>(
        &mut self,
        definition: &Definition,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<(T, Source)> {
        let parsed = self.inputs.find(definition).and_then(|given| {
            let Some(given) = given else { return Ok(None) };
            let parsed = match given.text.is_empty() && definition.default != Some("") {
                true => Err("is empty".to_owned()),
                false => parse(&given.text),
            };
            parsed
                .map(|value| Some((value, given.source)))
                .map_err(|problem| format!("{}: {problem}", given.name))
        });
        parsed.unwrap_or_else(|problem| {
            self.problems.push(problem);
            None
        })
    }

    fn row(&mut self, definition: &Definition, value: String, source: Source) {
        self.rows.push(Row {
            name: definition.name,
            value,
            source,
        });
    }
}

/// After a mistake the default stands in only until all mistakes are known and reported.
fn default_of<T>(
    definition: &Definition,
    parse: impl Fn(&str) -> Result<T, String>,
) -> (T, Source) {
    let text = definition
        .default
        .expect("only secrets have no default, and they are optional");
    let value = parse(text).expect("every default is well-formed");
    (value, Source::Default)
}
