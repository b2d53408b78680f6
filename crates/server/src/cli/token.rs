//! `gatewright token inspect`: why would this token be refused?

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Subcommand;
use gatewright_verify::strict_json;
use serde_json::{Value, json};

use super::start::{command_app, must_exist, runtime};
use super::{Failure, command_settings, io};
use crate::auth;
use crate::error::Error;

#[derive(Subcommand)]
pub(super) enum TokenCommand {
    /// Say whether the server would accept a token now, and if not, why. Exit code 1 when it would not.
    Inspect {
        /// The token; without it, the first line of standard input, where other users of the machine cannot see it.
        token: Option<String>,
        /// As a JSON object.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(command: TokenCommand) -> Result<(), Failure> {
    let TokenCommand::Inspect { token, json } = command;
    let settings = command_settings()?;
    if settings.secrets.is_none() {
        return Err(Failure::Usage(
            "BETTER_AUTH_SECRET: is not set; without it no signature can be checked".into(),
        ));
    }
    must_exist(&settings)?;
    let token = match token {
        Some(token) => token,
        None => io::first_line("a token")?.to_string(),
    };
    let token = token.trim();
    let outcome = runtime()?.block_on(async {
        let app = command_app(&settings).await?;
        Ok::<_, Failure>(auth::authenticate(&app, token).await)
    })?;
    let reason = match &outcome {
        Ok(_) => None,
        Err(error @ Error::DatabaseUnavailable(_)) => {
            return Err(Failure::Failed(error.to_string()));
        }
        Err(error) => Some(error.cause().unwrap_or_else(|| error.detail().to_owned())),
    };
    let mut parts = token.split('.');
    let (header, claims) = (decoded(parts.next()), decoded(parts.next()));
    if json {
        let object = json!({"accepted": reason.is_none(), "reason": reason, "header": header, "claims": claims});
        io::print(&format!("{object:#}"))?;
    } else {
        io::print(&format!("header  {header}\nclaims  {claims}"))?;
        io::print(
            &reason
                .as_ref()
                .map_or("accepted".into(), |reason| format!("refused: {reason}")),
        )?;
    }
    match reason {
        None => Ok(()),
        Some(reason) => Err(Failure::Failed(format!(
            "the token would be refused: {reason}"
        ))),
    }
}

/// A part of the token for people, whether or not the signature is right; null where it is no JSON object.
fn decoded(part: Option<&str>) -> Value {
    let bytes = part.and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let object = bytes.and_then(|bytes| strict_json::object(&bytes).ok());
    object.map_or(Value::Null, Value::Object)
}
