//! Extractors for axum: name [`Claims`] or [`CurrentUserId`] as an argument of a handler, and only requests with a
//! valid access token reach it. The router's state must hand out an `Arc<Verifier>`.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ::axum::extract::{FromRef, FromRequestParts};
use ::axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use ::axum::http::request::Parts;
use ::axum::http::{HeaderMap, HeaderValue, StatusCode};
use ::axum::response::{IntoResponse, Response};
use serde_json::json;
use uuid::Uuid;

use crate::{Claims, Error, Verifier, bearer};

/// The id of the user whose access token came with the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurrentUserId(pub Uuid);

/// The bearer token of a request, from its `Authorization` header and nowhere else.
///
/// # Errors
/// As [`bearer`].
pub fn bearer_token(headers: &HeaderMap) -> Result<&str, Error> {
    bearer(
        headers
            .get_all(AUTHORIZATION)
            .iter()
            .map(HeaderValue::as_bytes),
    )
}

impl<S> FromRequestParts<S> for Claims
where
    Arc<Verifier>: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let token = bearer_token(&parts.headers)?;
        Arc::<Verifier>::from_ref(state).verify(token, now_unix_seconds())
    }
}

impl<S> FromRequestParts<S> for CurrentUserId
where
    Arc<Verifier>: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let claims = Claims::from_request_parts(parts, state).await?;
        Ok(Self(claims.sub))
    }
}

/// 401 with `WWW-Authenticate` (RFC 6750 §3) and a problem (RFC 9457) as JSON.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let headers = [
            (WWW_AUTHENTICATE, self.www_authenticate()),
            (CONTENT_TYPE, "application/json"),
            (CACHE_CONTROL, "no-store"),
        ];
        let problem = json!({
            "type": "about:blank",
            "title": "Unauthorized",
            "status": 401,
            "detail": self.detail(),
            "code": self.code(),
        });
        (StatusCode::UNAUTHORIZED, headers, problem.to_string()).into_response()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the edge of a service: its clock starts here"
)]
fn now_unix_seconds() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        // A clock before 1970 is broken: every token is then expired, none valid for ever.
        .unwrap_or(i64::MAX)
}
