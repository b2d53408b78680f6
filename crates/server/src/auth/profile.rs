//! What users may change about themselves.

use super::audit::{self, Subject};
use super::{Caller, Current, DisplayName};
use crate::app::App;
use crate::error::Error;
use crate::store::User;

/// Gives the current user another name, if one is given; `updated_at` moves in any case.
///
/// # Errors
/// [`Error::InvalidToken`] when the user was disabled or deleted meanwhile; [`Error::DatabaseUnavailable`].
pub async fn rename(
    app: &App,
    current: &Current,
    name: Option<&DisplayName>,
    caller: &Caller,
) -> Result<User, Error> {
    let now = app.clock.now_ms();
    let renamed = app
        .store
        .update_name(current.user.id, name.map(DisplayName::as_str), now)
        .await?;
    let user = renamed.ok_or_else(|| Error::InvalidToken("the user is gone or disabled".into()))?;
    audit::record(caller, "profile.update", "success", &Subject::User(user.id));
    Ok(user)
}
