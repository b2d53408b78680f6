//! `GET` and `PUT /api/auth/profile`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use utoipa::ToSchema;

use super::error::Problem;
use super::extract::Fields;
use super::response::UserResponse;
use crate::app::App;
use crate::auth::{self, Caller, Current, DisplayName};
use crate::error::Error;

/// A change of the profile.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "the document's picture of the body; the fields are taken one by one"
)]
struct ProfileUpdate {
    /// The new name; absent or null leaves it as it is.
    #[schema(min_length = 1, max_length = 100, example = "Ann Lee")]
    name: Option<String>,
}

/// The profile of the current user.
#[utoipa::path(
    get,
    path = "/api/auth/profile",
    tag = "auth",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The user", body = UserResponse),
        (status = 401, description = "`Not authenticated`, `Token has expired` or `Invalid token`", body = Problem,
            headers(("WWW-Authenticate" = String, description = "`Bearer`, with `error=\"invalid_token\"` when a token was sent"))),
        (status = 404, description = "`User not found`: neither the user nor the session exists any more", body = Problem),
    )
)]
pub(super) async fn read(current: Current) -> Json<UserResponse> {
    Json(current.user.into())
}

/// Changes the profile of the current user; `updated_at` moves.
#[utoipa::path(
    put,
    path = "/api/auth/profile",
    tag = "auth",
    security(("bearer" = [])),
    request_body = ProfileUpdate,
    responses(
        (status = 200, description = "The user as changed", body = UserResponse),
        (status = 400, description = "Malformed body, or a name that breaks a rule", body = Problem),
        (status = 401, description = "`Not authenticated`, `Token has expired` or `Invalid token`", body = Problem,
            headers(("WWW-Authenticate" = String, description = "`Bearer`, with `error=\"invalid_token\"` when a token was sent"))),
        (status = 404, description = "`User not found`: neither the user nor the session exists any more", body = Problem),
    )
)]
pub(super) async fn update(
    State(app): State<Arc<App>>,
    current: Current,
    caller: Caller,
    mut fields: Fields,
) -> Result<Json<UserResponse>, Error> {
    let name = fields.optional_text("name");
    fields.finish()?;
    let name = name.as_deref().map(DisplayName::parse).transpose();
    let name = name.map_err(|error| Error::invalid("name", error.to_string()))?;
    let user = auth::rename(&app, &current, name.as_ref(), &caller).await?;
    Ok(Json(user.into()))
}
