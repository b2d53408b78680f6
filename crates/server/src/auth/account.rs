//! What an operator does to accounts.

use uuid::Uuid;

use super::audit::{self, Subject};
use super::register::new_user;
use super::{Caller, DisplayName, Email, NewPassword};
use crate::app::App;
use crate::error::{Error, FieldError};
use crate::store::{NewUser, User};

/// How an operator names an account.
#[derive(Clone, Debug)]
pub enum Selector {
    /// By its id.
    Id(Uuid),
    /// By its e-mail.
    Email(Email),
}

impl std::str::FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        Email::parse(text)
            .map(Self::Email)
            .map_err(|_| format!("{text:?} is neither an id nor an e-mail"))
    }
}

/// The account that `selector` names.
///
/// # Errors
/// [`Error::UserNotFound`], [`Error::DatabaseUnavailable`].
pub async fn find(app: &App, selector: &Selector) -> Result<User, Error> {
    let found = match selector {
        Selector::Id(id) => app.store.user_by_id(*id).await?,
        Selector::Email(email) => app
            .store
            .user_by_email(email.as_str())
            .await?
            .map(|stored| stored.user),
    };
    found.ok_or(Error::UserNotFound)
}

/// Up to `count` accounts after the id `after`, oldest first.
///
/// # Errors
/// [`Error::DatabaseUnavailable`].
pub async fn list(app: &App, after: Uuid, count: i64) -> Result<Vec<User>, Error> {
    app.store.users_after(after, count).await
}

/// Makes an account; without a password nobody can sign in to it yet.
///
/// # Errors
/// [`Error::Invalid`], [`Error::EmailTaken`], [`Error::Overloaded`], [`Error::DatabaseUnavailable`].
pub async fn create(
    app: &App,
    email: &str,
    name: &str,
    password: Option<&str>,
    caller: &Caller,
) -> Result<User, Error> {
    let invalid = |field, message: String| Error::Invalid(vec![FieldError { field, message }]);
    let email = Email::parse(email).map_err(|error| invalid("email", error.to_string()))?;
    let name = DisplayName::parse(name).map_err(|error| invalid("name", error.to_string()))?;
    let hash = match password {
        Some(password) => Some(new_hash(app, password, &email, name.as_str(), caller).await?),
        None => None,
    };
    let user = new_user(app, &email, &name);
    let row = NewUser {
        id: user.id,
        email: &user.email,
        name: &user.name,
        password_hash: hash.as_deref(),
        created_at: user.created_at,
    };
    app.store.insert_user(&row, None).await?;
    audit::record(caller, "user.create", "success", &Subject::User(user.id));
    Ok(user)
}

/// Disables an account and ends all its sessions.
///
/// # Errors
/// [`Error::UserNotFound`], [`Error::DatabaseUnavailable`].
pub async fn disable(app: &App, id: Uuid, caller: &Caller) -> Result<(), Error> {
    let done = app.store.disable_user(id, app.clock.now_ms()).await?;
    finish(done, "user.disable", id, caller)
}

/// Enables an account; its former sessions stay ended.
///
/// # Errors
/// [`Error::UserNotFound`], [`Error::DatabaseUnavailable`].
pub async fn enable(app: &App, id: Uuid, caller: &Caller) -> Result<(), Error> {
    let done = app.store.enable_user(id).await?;
    finish(done, "user.enable", id, caller)
}

/// Deletes an account with everything that belongs to it.
///
/// # Errors
/// [`Error::UserNotFound`], [`Error::DatabaseUnavailable`].
pub async fn delete(app: &App, id: Uuid, caller: &Caller) -> Result<(), Error> {
    let done = app.store.delete_user(id).await?;
    finish(done, "user.delete", id, caller)
}

/// Sets another password and ends all sessions.
///
/// # Errors
/// [`Error::Invalid`], [`Error::UserNotFound`], [`Error::Overloaded`], [`Error::DatabaseUnavailable`].
pub async fn set_password(
    app: &App,
    user: &User,
    password: &str,
    caller: &Caller,
) -> Result<(), Error> {
    let email = Email::parse(&user.email).map_err(|error| Error::Internal(error.into()))?;
    let hash = new_hash(app, password, &email, &user.name, caller).await?;
    let done = app
        .store
        .set_password_hash(user.id, &hash, app.clock.now_ms())
        .await?;
    finish(done, "user.set_password", user.id, caller)
}

async fn new_hash(
    app: &App,
    password: &str,
    email: &Email,
    name: &str,
    caller: &Caller,
) -> Result<String, Error> {
    let password = NewPassword::check(password, app.password_policy, Some(email), name)
        .map_err(|error| Error::invalid("password", error.to_string()))?;
    let ticket = app.hasher.admit(caller.network().address())?;
    Ok(ticket.hash(password.as_bytes(), app.random.bytes()).await?)
}

fn finish(done: bool, event: &'static str, id: Uuid, caller: &Caller) -> Result<(), Error> {
    if !done {
        return Err(Error::UserNotFound);
    }
    audit::record(caller, event, "success", &Subject::User(id));
    Ok(())
}
