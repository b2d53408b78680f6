//! `POST /api/auth/logout`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::Problem;
use crate::app::App;
use crate::auth::{self, Caller, Current};
use crate::error::Error;

/// What sign-out answers.
#[derive(Serialize, ToSchema)]
pub(super) struct MessageResponse {
    #[schema(example = "Logged out successfully")]
    message: &'static str,
}

/// Sign out: ends this session at once, everywhere. The client should drop its token; it is worth nothing any more.
#[utoipa::path(
    post,
    path = "/api/auth/logout",
    tag = "auth",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The session has ended", body = MessageResponse),
        (status = 401, description = "`Not authenticated`, `Token has expired` or `Invalid token`", body = Problem,
            headers(("WWW-Authenticate" = String, description = "`Bearer`, with `error=\"invalid_token\"` when a token was sent"))),
    )
)]
pub(super) async fn logout(
    State(app): State<Arc<App>>,
    current: Result<Current, Error>,
    caller: Caller,
) -> Result<Json<MessageResponse>, Error> {
    // Only the profile of a deleted user is not found (SPEC §1); here the token is no good any more.
    let current = current.map_err(|error| match error {
        Error::UserNotFound => Error::InvalidToken("the user and the session are gone".into()),
        other => other,
    })?;
    auth::logout(&app, &current, &caller).await?;
    Ok(Json(MessageResponse {
        message: "Logged out successfully",
    }))
}
