//! Errors as HTTP: one status for each, one body for all.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Error;

/// Every refusal: RFC 9457 members, a stable `code`, and the fields at fault where there are any.
#[derive(Serialize, ToSchema)]
pub(super) struct Problem<'a> {
    /// Always `about:blank`: `title` and `status` say it all (RFC 9457 §4.2.1).
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    kind: &'static str,
    /// The status in words.
    #[schema(example = "Unauthorized")]
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 401)]
    status: u16,
    /// One sentence for people.
    #[schema(example = "Invalid email or password")]
    detail: &'a str,
    /// The stable word for programs; see docs/errors.md.
    #[schema(example = "invalid_credentials")]
    code: &'static str,
    /// The fields at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    errors: Option<Vec<FieldProblem<'a>>>,
}

/// A field at fault.
#[derive(Serialize, ToSchema)]
pub(super) struct FieldProblem<'a> {
    /// Its name.
    #[schema(example = "password")]
    field: &'a str,
    /// What is wrong with it.
    #[schema(example = "Password must contain at least one digit")]
    message: &'a str,
}

/// Rides in the response until the edge knows how the client wants it, and the log has it.
#[derive(Clone)]
pub(super) struct Refusal(pub(super) Arc<Error>);

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = status(&self).into_response();
        response.extensions_mut().insert(Refusal(Arc::new(self)));
        response
    }
}

/// The status of every error.
pub(super) fn status(error: &Error) -> StatusCode {
    match error {
        Error::MalformedBody(_) | Error::Invalid(_) => StatusCode::BAD_REQUEST,
        Error::InvalidCredentials
        | Error::NotAuthenticated
        | Error::TokenExpired
        | Error::InvalidToken(_) => StatusCode::UNAUTHORIZED,
        Error::UserNotFound | Error::UnknownPath => StatusCode::NOT_FOUND,
        Error::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
        Error::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
        Error::EmailTaken => StatusCode::CONFLICT,
        Error::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Error::UriTooLong => StatusCode::URI_TOO_LONG,
        Error::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Error::TooManyAttempts { .. } => StatusCode::TOO_MANY_REQUESTS,
        Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        Error::Overloaded { .. } | Error::DatabaseUnavailable(_) | Error::NotReady => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

/// The answer for `error`. `headers` are those that inner layers have set (`Allow`, CORS); they are kept.
pub(super) fn render(error: &Error, headers: HeaderMap, wants_problem: bool) -> Response {
    let status = status(error);
    let errors = match error {
        Error::Invalid(errors) => Some(
            errors
                .iter()
                .map(|error| FieldProblem {
                    field: error.field,
                    message: &error.message,
                })
                .collect(),
        ),
        _ => None,
    };
    let problem = Problem {
        kind: "about:blank",
        title: status.canonical_reason().unwrap_or_default(),
        status: status.as_u16(),
        detail: error.detail(),
        code: error.code(),
        errors,
    };
    let mut response = (status, Json(problem)).into_response();
    for (name, value) in &headers {
        response
            .headers_mut()
            .entry(name)
            .or_insert_with(|| value.clone());
    }
    let own = response.headers_mut();
    if wants_problem {
        own.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
    }
    if let Some(challenge) = challenge(error) {
        own.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    if let Some(seconds) = retry_after_seconds(error) {
        own.insert(RETRY_AFTER, seconds.into());
    }
    if leaves_body_unread(error) {
        own.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response.map(Body::new)
}

/// RFC 6750 §3. A wrong password is no bearer token, so sign-in has no challenge of this kind.
fn challenge(error: &Error) -> Option<&'static str> {
    match error {
        Error::NotAuthenticated => Some("Bearer"),
        Error::TokenExpired | Error::InvalidToken(_) => Some("Bearer error=\"invalid_token\""),
        _ => None,
    }
}

/// What is refused without reading the body ends the connection: the rest of the body would have to be read first.
fn leaves_body_unread(error: &Error) -> bool {
    matches!(
        error,
        Error::NotJson | Error::BodyTooLarge | Error::BodyTooSlow
    )
}

fn retry_after_seconds(error: &Error) -> Option<u64> {
    match error {
        Error::TooManyAttempts {
            retry_after_seconds,
        }
        | Error::Overloaded {
            retry_after_seconds,
        } => Some(*retry_after_seconds),
        Error::DatabaseUnavailable(_) | Error::NotReady => Some(1),
        _ => None,
    }
}
