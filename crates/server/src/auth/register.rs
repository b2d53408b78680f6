//! Sign-up.

use super::audit::{self, Subject};
use super::limits::whole_seconds;
use super::{Caller, DisplayName, Email, NewPassword, SignedIn};
use crate::app::App;
use crate::error::{Error, FieldError};
use crate::settings::PasswordPolicy;
use crate::store::{NewUser, Reservation, User};

/// What a new account needs, checked.
pub struct Registration {
    /// Canonical e-mail.
    pub email: Email,
    /// Display name.
    pub name: DisplayName,
    /// A password that the policy accepts.
    pub password: NewPassword,
}

impl Registration {
    /// Checks all three fields, so that the client learns of every mistake at once.
    ///
    /// # Errors
    /// [`Error::Invalid`] with one entry for each bad field.
    pub fn check(
        email: &str,
        name: &str,
        password: &str,
        policy: PasswordPolicy,
    ) -> Result<Self, Error> {
        let mut errors = Vec::new();
        let mut note = |field, message: String| errors.push(FieldError { field, message });
        let email = Email::parse(email)
            .map_err(|error| note("email", error.to_string()))
            .ok();
        let parsed_name = DisplayName::parse(name)
            .map_err(|error| note("name", error.to_string()))
            .ok();
        let password = NewPassword::check(password, policy, email.as_ref(), name)
            .map_err(|error| note("password", error.to_string()))
            .ok();
        match (email, parsed_name, password) {
            (Some(email), Some(name), Some(password)) => Ok(Self {
                email,
                name,
                password,
            }),
            _ => Err(Error::Invalid(errors)),
        }
    }
}

/// Makes an account with its first session. The database alone decides whether the e-mail is free.
///
/// # Errors
/// [`Error::EmailTaken`], [`Error::TooManyAttempts`], [`Error::Overloaded`], [`Error::DatabaseUnavailable`].
pub async fn register(app: &App, new: &Registration, caller: &Caller) -> Result<SignedIn, Error> {
    let outcome = attempt(app, new, caller).await;
    app.pace.hand_on(outcome).await
}

async fn attempt(app: &App, new: &Registration, caller: &Caller) -> Result<SignedIn, Error> {
    let ticket = app.hasher.admit(caller.network().address())?;
    let subject = Subject::Email(new.email.as_str());
    if let Some(cap) = app.limits.register(caller.network())
        && let Reservation::Refused { wait_ms, .. } =
            app.store.reserve(&[cap], app.clock.now_ms()).await?
    {
        audit::record(caller, "register", "throttled", &subject);
        let retry_after_seconds = whole_seconds(wait_ms);
        return Err(Error::TooManyAttempts {
            retry_after_seconds,
        });
    }
    let hash = ticket
        .hash(new.password.as_bytes(), app.random.bytes())
        .await?;
    let user = new_user(app, &new.email, &new.name);
    let session = app
        .tokens
        .new_session(user.id, app.new_id(), user.created_at);
    let row = NewUser {
        id: user.id,
        email: &user.email,
        name: &user.name,
        password_hash: Some(&hash),
        created_at: user.created_at,
    };
    match app.store.insert_user(&row, Some(&session)).await {
        Err(Error::EmailTaken) => {
            audit::record(caller, "register", "failure", &subject);
            Err(Error::EmailTaken)
        }
        Err(other) => Err(other),
        Ok(()) => {
            audit::record(caller, "register", "success", &Subject::User(user.id));
            Ok(app.signed_in(user, &session))
        }
    }
}

/// A user as it is about to be stored.
pub(super) fn new_user(app: &App, email: &Email, name: &DisplayName) -> User {
    let now = app.clock.now_ms();
    User {
        id: app.new_id(),
        email: email.as_str().to_owned(),
        name: name.as_str().to_owned(),
        created_at: now,
        updated_at: now,
        disabled_at: None,
    }
}
