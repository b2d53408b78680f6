//! The one place where settings get their names, flags, defaults and help.

use std::{collections::BTreeMap, ffi::OsString, fmt::Write};

use clap::{Arg, ArgMatches, Command};

use super::Purpose;

/// What is known about one setting before anything is read.
#[derive(Debug)]
pub(super) struct Definition {
    /// The environment variable, which is also the name in every message.
    pub(super) name: &'static str,
    /// The flag without its dashes; a setting that may carry a secret has none.
    pub(super) flag: Option<&'static str>,
    /// The word that stands for the value in the help.
    form: &'static str,
    /// The value when nothing is given; `None` when the setting is then absent.
    pub(super) default: Option<&'static str>,
    meaning: &'static str,
}

pub(super) const SECRET: Definition = Definition {
    name: "BETTER_AUTH_SECRET",
    flag: None,
    form: "SECRET",
    default: None,
    meaning: "Shared HS256 secret, 32 bytes or more; required by serve",
};
pub(super) const SECRETS: Definition = Definition {
    name: "BETTER_AUTH_SECRETS",
    flag: None,
    form: "2:NEW,1:OLD",
    default: None,
    meaning: "Sign with the first, verify with all; BETTER_AUTH_SECRET is then not used",
};
pub(super) const JWT_ALGORITHM: Definition = Definition {
    name: "JWT_ALGORITHM",
    flag: Some("jwt-algorithm"),
    form: "NAME",
    default: Some("HS256"),
    meaning: "Signing algorithm of access tokens",
};
pub(super) const DATABASE_URL: Definition = Definition {
    name: "DATABASE_URL",
    flag: None,
    form: "URL",
    default: Some("sqlite://gatewright.db"),
    meaning: "sqlite://path, postgres://… or postgresql://…",
};
pub(super) const HOST: Definition = Definition {
    name: "HOST",
    flag: Some("host"),
    form: "ADDRESS",
    default: Some("127.0.0.1"),
    meaning: "IP address to listen on",
};
pub(super) const PORT: Definition = Definition {
    name: "PORT",
    flag: Some("port"),
    form: "NUMBER",
    default: Some("8000"),
    meaning: "TCP port to listen on; 0 takes any free one",
};
pub(super) const TOKEN_TTL: Definition = Definition {
    name: "GATEWRIGHT_TOKEN_TTL",
    flag: Some("token-ttl"),
    form: "DURATION",
    default: Some("7d"),
    meaning: "Life of access tokens and sessions, 1s to 30d (2s, 15m, 12h, 7d)",
};
pub(super) const PASSWORD_POLICY: Definition = Definition {
    name: "GATEWRIGHT_PASSWORD_POLICY",
    flag: Some("password-policy"),
    form: "POLICY",
    default: Some("spec"),
    meaning: "Rules for new passwords: spec or nist",
};
pub(super) const PASSWORD_HASH: Definition = Definition {
    name: "GATEWRIGHT_PASSWORD_HASH",
    flag: Some("password-hash"),
    form: "KIND",
    default: Some("bcrypt"),
    meaning: "Hash of new passwords: bcrypt or argon2id",
};
pub(super) const BCRYPT_COST: Definition = Definition {
    name: "GATEWRIGHT_BCRYPT_COST",
    flag: Some("bcrypt-cost"),
    form: "NUMBER",
    default: Some("12"),
    meaning: "bcrypt cost, 10 to 15",
};
pub(super) const CORS_ORIGINS: Definition = Definition {
    name: "GATEWRIGHT_CORS_ORIGINS",
    flag: Some("cors-origins"),
    form: "ORIGINS",
    default: Some(""),
    meaning: "Exact origins that browsers may call from, comma-separated",
};
pub(super) const TRUSTED_PROXIES: Definition = Definition {
    name: "GATEWRIGHT_TRUSTED_PROXIES",
    flag: Some("trusted-proxies"),
    form: "NETWORKS",
    default: Some(""),
    meaning: "Proxies whose X-Forwarded-For is believed, comma-separated addresses or CIDRs",
};
pub(super) const LOGIN_FAILURE_LIMIT: Definition = Definition {
    name: "GATEWRIGHT_LOGIN_FAILURE_LIMIT",
    flag: Some("login-failure-limit"),
    form: "NUMBER",
    default: Some("10"),
    meaning: "Failed sign-ins per account and client network before waiting starts",
};
pub(super) const CLIENT_FAILURE_LIMIT: Definition = Definition {
    name: "GATEWRIGHT_CLIENT_FAILURE_LIMIT",
    flag: Some("client-failure-limit"),
    form: "RATE",
    default: Some("100/min"),
    meaning: "Failed sign-ins, and sign-ups, per client network (5/s, 100/min, 500/h); off disables",
};
pub(super) const ACCEPT_FOREIGN_TOKENS: Definition = Definition {
    name: "GATEWRIGHT_ACCEPT_FOREIGN_TOKENS",
    flag: Some("accept-foreign-tokens"),
    form: "BOOLEAN",
    default: Some("false"),
    meaning: "Accept tokens others signed with the shared secret; sign-out cannot end these",
};
const DOCS: Definition = Definition {
    name: "GATEWRIGHT_DOCS",
    flag: Some("docs"),
    form: "BOOLEAN",
    default: Some("false"),
    meaning: "Serve /docs and /openapi.json",
};
const DOCS_IN_DEV: Definition = Definition {
    default: Some("true"),
    ..DOCS
};
pub(super) const LOG_FORMAT: Definition = Definition {
    name: "GATEWRIGHT_LOG_FORMAT",
    flag: Some("log-format"),
    form: "FORMAT",
    default: Some("text"),
    meaning: "Log lines on standard error: text or json",
};
pub(super) const RUST_LOG: Definition = Definition {
    name: "RUST_LOG",
    flag: Some("rust-log"),
    form: "FILTER",
    default: Some("info"),
    meaning: "What is logged: a level (error, warn, info, debug, trace) or module=level, comma-separated",
};

/// Every setting, in the order of the help and of `gatewright config`.
pub(super) const DEFINITIONS: [&Definition; 18] = [
    &SECRET,
    &SECRETS,
    &JWT_ALGORITHM,
    &DATABASE_URL,
    &HOST,
    &PORT,
    &TOKEN_TTL,
    &PASSWORD_POLICY,
    &PASSWORD_HASH,
    &BCRYPT_COST,
    &CORS_ORIGINS,
    &TRUSTED_PROXIES,
    &LOGIN_FAILURE_LIMIT,
    &CLIENT_FAILURE_LIMIT,
    &ACCEPT_FOREIGN_TOKENS,
    &DOCS,
    &LOG_FORMAT,
    &RUST_LOG,
];

/// `GATEWRIGHT_DOCS`, whose default is the only one that depends on the verb.
pub(super) fn docs_for(purpose: Purpose) -> &'static Definition {
    match purpose {
        Purpose::Dev => &DOCS_IN_DEV,
        Purpose::Serve | Purpose::Command => &DOCS,
    }
}

impl Definition {
    /// A setting without a flag may carry a secret, so it may also come from a file named by `NAME_FILE`.
    pub(super) fn file_name(&self) -> Option<String> {
        self.flag.is_none().then(|| format!("{}_FILE", self.name))
    }

    fn default_shown(&self) -> &'static str {
        match self.default {
            _ if self.name == DOCS.name => "false in serve, true in dev",
            Some("") => "empty",
            Some(default) => default,
            None => "none",
        }
    }

    fn flag_argument(&self, flag: &'static str) -> Arg {
        Arg::new(self.name)
            .long(flag)
            .value_name(self.form)
            .value_parser(clap::value_parser!(OsString))
            .help_heading("Settings")
            .help(format!(
                "{} [env: {}] [default: {}]",
                self.meaning,
                self.name,
                self.default_shown()
            ))
    }
}

/// The settings given as command-line flags. Flatten it into each verb that takes settings.
///
/// It offers a flag for every setting that cannot carry a secret, and ends the verb's help with those that can.
/// Values stay unparsed: [`Settings::load`](super::Settings::load) checks them together with the other sources.
/// clap's own support for variables is not used because it would read the process environment behind
/// [`Sources`](super::Sources).
#[derive(Debug, Clone, Default)]
pub struct SettingsFlags {
    given: BTreeMap<&'static str, OsString>,
}

impl SettingsFlags {
    pub(super) fn value(&self, name: &str) -> Option<&OsString> {
        self.given.get(name)
    }
}

impl clap::Args for SettingsFlags {
    fn augment_args(command: Command) -> Command {
        let flags = DEFINITIONS
            .iter()
            .filter_map(|definition| Some(definition.flag_argument(definition.flag?)));
        command
            .args(flags)
            .after_help(listing("Environment or .env only:", |definition| {
                definition.flag.is_none()
            }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for SettingsFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for definition in DEFINITIONS.iter().filter(|setting| setting.flag.is_some()) {
            if let Some(value) = matches.get_one::<OsString>(definition.name) {
                self.given.insert(definition.name, value.clone());
            }
        }
        Ok(())
    }
}

/// Every setting with its default and meaning, for the end of the program's own `--help`.
pub fn settings_help() -> String {
    let heading =
        "Settings, from flags of serve and dev, the environment or .env in the working directory:";
    listing(heading, |_| true)
}

fn listing(heading: &str, wanted: impl Fn(&Definition) -> bool) -> String {
    let mut text = String::from(heading);
    for definition in DEFINITIONS.iter().filter(|definition| wanted(definition)) {
        let alternative = definition
            .file_name()
            .map_or(String::new(), |name| format!(" or {name}=PATH"));
        write!(
            text,
            "\n  {}={}{alternative}\n          {} [default: {}]",
            definition.name,
            definition.form,
            definition.meaning,
            definition.default_shown()
        )
        .expect("writing to a String cannot fail");
    }
    text
}
