//! `POST /api/auth/register`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa::ToSchema;

use super::error::Problem;
use super::extract::Fields;
use super::response::AuthResponse;
use crate::app::App;
use crate::auth::{self, Caller, Registration};
use crate::error::Error;

/// A sign-up.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "the document's picture of the body; the fields are taken one by one"
)]
struct RegisterRequest {
    /// Any spelling; answers show the canonical one.
    #[schema(max_length = 254, example = "ann@example.com")]
    email: String,
    /// 1 to 100 characters after trimming white space; no control characters.
    #[schema(min_length = 1, max_length = 100, example = "Ann")]
    name: String,
    /// 8 to 128 characters with a digit and a special character (policy `spec`).
    #[schema(min_length = 8, max_length = 128, example = "correct-horse-7")]
    password: String,
}

/// Sign up: makes an account and its first session.
#[utoipa::path(
    post,
    path = "/api/auth/register",
    tag = "auth",
    request_body = RegisterRequest,
    responses(
        (status = 201, description = "The account and a token for it", body = AuthResponse),
        (status = 400, description = "Malformed body, or fields that break a rule", body = Problem),
        (status = 409, description = "`Email already registered`", body = Problem),
        (status = 429, description = "Too many sign-ups and failed sign-ins from this client network", body = Problem,
            headers(("Retry-After" = u64, description = "Whole seconds"))),
    )
)]
pub(super) async fn register(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut fields: Fields,
) -> Result<(StatusCode, Json<AuthResponse>), Error> {
    let email = fields.text("email");
    let name = fields.text("name");
    let password = zeroize::Zeroizing::new(fields.text("password"));
    let checked = Registration::check(&email, &name, &password, app.password_policy);
    let new = fields.finish_with(checked)?;
    let signed_in = auth::register(&app, &new, &caller).await?;
    Ok((StatusCode::CREATED, signed_in.into()))
}
