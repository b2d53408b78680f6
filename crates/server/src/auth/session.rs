//! Sessions: what a token is worth at this moment.

use gatewright_verify::Token;
use uuid::Uuid;

use super::Caller;
use super::audit::{self, Subject};
use crate::app::App;
use crate::error::Error;
use crate::store::{Credential, User};

/// The user behind a request, as the database knows them now.
#[derive(Clone, Debug)]
pub struct Current {
    /// The account.
    pub user: User,
    /// The session; absent for a foreign token, which has none.
    pub session_id: Option<Uuid>,
}

/// Checks a token, then — in one statement — that its session is live and belongs to its user, and that the user
/// exists and is active (SEC-29).
///
/// # Errors
/// [`Error::TokenExpired`], [`Error::InvalidToken`]; [`Error::UserNotFound`] when neither user nor session exists any
/// more; [`Error::DatabaseUnavailable`].
pub async fn authenticate(app: &App, token: &str) -> Result<Current, Error> {
    let now = app.clock.now_ms();
    match app.tokens.check(token, now)? {
        Token::Own(claims) => {
            let credential = app.store.credential(claims.sub, claims.sid).await?;
            let user = live_user(credential, claims.sub, now)?;
            Ok(Current {
                user,
                session_id: Some(claims.sid),
            })
        }
        Token::Foreign(claims) => {
            let user = app
                .store
                .credential(claims.sub, Uuid::nil())
                .await?
                .user
                .ok_or(Error::UserNotFound)?;
            Ok(Current {
                user: active(user)?,
                session_id: None,
            })
        }
    }
}

/// Ends the session of this request, at once and for all instances. A foreign token has none and lives on.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn logout(app: &App, current: &Current, caller: &Caller) -> Result<(), Error> {
    if let Some(id) = current.session_id {
        app.store.end_session(id).await?;
    }
    audit::record(caller, "logout", "success", &Subject::User(current.user.id));
    Ok(())
}

fn live_user(credential: Credential, sub: Uuid, now_ms: i64) -> Result<User, Error> {
    match (credential.user, credential.session) {
        (None, None) => Err(Error::UserNotFound),
        (_, None) => Err(Error::InvalidToken("the session has ended".into())),
        (_, Some((owner, _))) if owner != sub => Err(Error::InvalidToken(
            "the session belongs to another user".into(),
        )),
        (_, Some((_, expires_at))) if expires_at <= now_ms => Err(Error::TokenExpired),
        (None, Some(_)) => Err(Error::InvalidToken("the user is gone".into())),
        (Some(user), Some(_)) => active(user),
    }
}

fn active(user: User) -> Result<User, Error> {
    if user.disabled_at.is_some() {
        return Err(Error::InvalidToken("the user is disabled".into()));
    }
    Ok(user)
}
