//! The commands. Each is a thin caller of the same domain functions that HTTP calls.

mod config;
mod dev;
mod io;
mod logging;
mod serve;
mod start;
mod token;
mod user;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::settings::{Purpose, Settings, SettingsError, SettingsFlags, Sources, settings_help};

/// A self-hosted account and token server: sign-up, sign-in, sign-out, profile, sessions and JWTs.
#[derive(Parser)]
#[command(name = "gatewright", version, after_help = settings_help(), max_term_width = 120)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server. Needs a secret.
    Serve {
        #[command(flatten)]
        flags: SettingsFlags,
    },
    /// Run a development server: loopback only, an SQLite file, a generated secret kept beside it, the docs page on.
    Dev {
        #[command(flatten)]
        flags: SettingsFlags,
    },
    /// Bring the database schema up to date and exit. The server does this by itself at start.
    Migrate,
    /// Manage accounts.
    #[command(subcommand)]
    User(user::UserCommand),
    /// Print a fresh 256-bit secret for BETTER_AUTH_SECRET.
    Secret,
    /// Explain access tokens.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Print the OpenAPI document.
    Openapi,
    /// Print the effective settings with their source; secrets are redacted.
    Config {
        /// As a JSON array.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        flags: SettingsFlags,
    },
}

/// Why a command did not do its work.
enum Failure {
    /// Wrong usage or settings: exit code 2.
    Usage(String),
    /// Anything else: exit code 1.
    Failed(String),
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(format!("{error:#}"))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<crate::error::Error> for Failure {
    fn from(error: crate::error::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Runs the program with the arguments of the process: exit code 0 done, 1 failed, 2 wrong usage or settings.
#[must_use]
pub fn run() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Serve { flags } => serve::serve(&flags),
        Command::Dev { flags } => dev::dev(&flags),
        Command::Migrate => start::migrate(),
        Command::User(command) => user::run(command),
        Command::Secret => io::print(&start::fresh_secret()),
        Command::Token(command) => token::run(command),
        Command::Openapi => openapi(),
        Command::Config { json, flags } => config::config(&flags, json),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(line)) => io::complain(&line, 2),
        Err(Failure::Failed(line)) => io::complain(&line, 1),
    }
}

/// The settings for a command that is not a server.
fn command_settings() -> Result<Settings, Failure> {
    Ok(Settings::load(
        &SettingsFlags::default(),
        &Sources::of_process(),
        Purpose::Command,
    )?)
}

fn openapi() -> Result<(), Failure> {
    let document = crate::http::document().to_pretty_json();
    io::print(&document.map_err(|error| Failure::Failed(error.to_string()))?)
}
