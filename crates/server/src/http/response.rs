//! The answers that more than one endpoint gives.

use axum::Json;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::auth::SignedIn;
use crate::store::User;

/// A user, without anything derived from the password.
#[derive(Serialize, ToSchema)]
pub(crate) struct UserResponse {
    /// Version 7 UUID.
    #[schema(example = "0197e2c4-8d0c-7e3a-9b52-3f6d1c0a7e11")]
    id: Uuid,
    /// Canonical e-mail.
    #[schema(example = "ann@example.com")]
    email: String,
    /// Display name.
    #[schema(example = "Ann")]
    name: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime, example = "2026-11-20T10:42:00.000Z")]
    created_at: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime, example = "2026-11-20T10:42:00.000Z")]
    updated_at: String,
    /// False when an operator has disabled the account.
    is_active: bool,
}

/// What sign-up and sign-in answer.
#[derive(Serialize, ToSchema)]
pub(super) struct AuthResponse {
    /// JWT for the `Authorization` header.
    #[schema(example = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9…")]
    access_token: String,
    /// Always `bearer`.
    #[schema(example = "bearer")]
    token_type: &'static str,
    /// Seconds until the token and its session end.
    #[schema(example = 604_800)]
    expires_in: i64,
    user: UserResponse,
}

impl From<User> for UserResponse {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            email: user.email,
            name: user.name,
            created_at: rfc3339(user.created_at),
            updated_at: rfc3339(user.updated_at),
            is_active: user.disabled_at.is_none(),
        }
    }
}

impl From<SignedIn> for Json<AuthResponse> {
    fn from(signed_in: SignedIn) -> Self {
        Self(AuthResponse {
            access_token: signed_in.access_token,
            token_type: "bearer",
            expires_in: signed_in.expires_in,
            user: signed_in.user.into(),
        })
    }
}

fn rfc3339(unix_ms: i64) -> String {
    // Out of range only for a row that no version of this program has written.
    let timestamp = Timestamp::from_millisecond(unix_ms).unwrap_or_default();
    format!("{timestamp:.3}")
}
