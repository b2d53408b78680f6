//! `POST /api/auth/login`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use utoipa::ToSchema;

use super::error::Problem;
use super::extract::Fields;
use super::response::AuthResponse;
use crate::app::App;
use crate::auth::{self, Caller};
use crate::error::Error;

/// A sign-in.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "the document's picture of the body; the fields are taken one by one"
)]
struct LoginRequest {
    /// Any spelling of the account's e-mail.
    #[schema(example = "ann@example.com")]
    email: String,
    /// Compared exactly as sent, after NFC.
    #[schema(example = "correct-horse-7")]
    password: String,
}

/// Sign in: makes a session. Every refusal looks and costs the same.
#[utoipa::path(
    post,
    path = "/api/auth/login",
    tag = "auth",
    request_body = LoginRequest,
    responses(
        (status = 200, description = "A token for a new session", body = AuthResponse),
        (status = 400, description = "Malformed body", body = Problem),
        (status = 401, description = "`Invalid email or password`, whatever the reason", body = Problem),
        (status = 429, description = "Too many failures; the same for right and wrong passwords", body = Problem,
            headers(("Retry-After" = u64, description = "Whole seconds"))),
    )
)]
pub(super) async fn login(
    State(app): State<Arc<App>>,
    caller: Caller,
    mut fields: Fields,
) -> Result<Json<AuthResponse>, Error> {
    let email = fields.text("email");
    let password = zeroize::Zeroizing::new(fields.text("password"));
    fields.finish()?;
    let signed_in = auth::login(&app, &email, &password, &caller).await?;
    Ok(signed_in.into())
}
