//! What handlers are given: a checked body, the current user.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use gatewright_verify::axum::bearer_token;
use gatewright_verify::strict_json;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Map, Value};
use tokio::time::timeout;

use crate::app::App;
use crate::auth::{self, Caller, Current};
use crate::error::{Error, FieldError};

/// SPEC §1, limits of the door.
const LARGEST_BODY: usize = 64 * 1024;
/// REL-21: a whole body, however slowly it trickles.
const BODY_PATIENCE: Duration = Duration::from_secs(15);

/// The JSON object of a request, whose fields are taken one by one.
pub(super) struct Fields {
    members: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Fields {
    /// A text that must be there; empty when it is not, which [`Fields::finish`] will refuse.
    pub(super) fn text(&mut self, field: &'static str) -> String {
        self.take(field).unwrap_or_else(|| {
            if !self.errors.iter().any(|error| error.field == field) {
                self.note(field, "is required");
            }
            String::new()
        })
    }

    /// A text that may be absent or null.
    pub(super) fn optional_text(&mut self, field: &'static str) -> Option<String> {
        self.take(field)
    }

    /// Refuses what [`Fields::text`] and [`Fields::optional_text`] found missing or of another type.
    pub(super) fn finish(self) -> Result<(), Error> {
        self.finish_with(Ok(()))
    }

    /// As [`Fields::finish`], together with what rules say of the other fields, so that a form shows all at once.
    pub(super) fn finish_with<T>(mut self, checked: Result<T, Error>) -> Result<T, Error> {
        if self.errors.is_empty() {
            return checked;
        }
        if let Err(Error::Invalid(broken)) = checked {
            for error in broken {
                if !self.errors.iter().any(|known| known.field == error.field) {
                    self.errors.push(error);
                }
            }
        }
        Err(Error::Invalid(self.errors))
    }

    fn take(&mut self, field: &'static str) -> Option<String> {
        match self.members.remove(field) {
            Some(Value::String(text)) => Some(text),
            None | Some(Value::Null) => None,
            Some(_) => {
                self.note(field, "must be a string");
                None
            }
        }
    }

    fn note(&mut self, field: &'static str, rule: &str) {
        let mut name = field.to_owned();
        name[..1].make_ascii_uppercase();
        self.errors.push(FieldError {
            field,
            message: format!("{name} {rule}"),
        });
    }
}

impl FromRequest<Arc<App>> for Fields {
    type Rejection = Error;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Error> {
        only_when_ready(app)?;
        check_head(request.headers())?;
        let bytes = timeout(BODY_PATIENCE, read(request.into_body()))
            .await
            .map_err(|_| Error::BodyTooSlow)??;
        let members = strict_json::object(&bytes).map_err(|error| malformed(&error))?;
        Ok(Self {
            members,
            errors: Vec::new(),
        })
    }
}

/// REL-35: nothing of a request is judged before the database has been reached for the first time.
fn only_when_ready(app: &App) -> Result<(), Error> {
    if app.phase.is_starting() {
        return Err(Error::NotReady);
    }
    Ok(())
}

/// SEC-67, SEC-68: refused before a byte of the body is read.
fn check_head(headers: &HeaderMap) -> Result<(), Error> {
    let mut lines = headers.get_all(CONTENT_TYPE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Err(Error::NotJson);
    };
    let text = line.to_str().unwrap_or_default();
    let mut parts = text.split(';').map(str::trim);
    let is_json = parts
        .next()
        .is_some_and(|media_type| media_type.eq_ignore_ascii_case("application/json"));
    // JSON is UTF-8 (RFC 8259 §8.1); a client that says otherwise means other bytes.
    let mut charsets = parts
        .filter_map(|part| part.split_once('='))
        .filter(|(name, _)| name.eq_ignore_ascii_case("charset"))
        .map(|(_, value)| value.trim_matches('"'));
    if !is_json || charsets.any(|charset| !charset.eq_ignore_ascii_case("utf-8")) {
        return Err(Error::NotJson);
    }
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    match length.map(str::parse::<u64>) {
        Some(Ok(length)) if length > LARGEST_BODY as u64 => Err(Error::BodyTooLarge),
        _ => Ok(()),
    }
}

async fn read(body: Body) -> Result<bytes::Bytes, Error> {
    match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Error::BodyTooLarge),
        Err(_) => Err(Error::MalformedBody("The body did not arrive whole".into())),
    }
}

fn malformed(error: &strict_json::Error) -> Error {
    let detail = match error {
        strict_json::Error::Encoding => "The body is not valid UTF-8",
        strict_json::Error::Type(_) => "The body must be a JSON object",
        _ => "The body is not valid JSON",
    };
    Error::MalformedBody(detail.into())
}

impl FromRequestParts<Arc<App>> for Current {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Error> {
        only_when_ready(app)?;
        let token = bearer_token(&parts.headers)?;
        auth::authenticate(app, token).await
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Error::Internal("the edge layer is missing".into()))
    }
}
