//! The rules: who may sign up and in, what a session is, and how guessing is limited.

mod account;
mod audit;
mod common_passwords;
mod email;
mod gate;
mod limits;
mod login;
mod name;
mod network;
mod pace;
mod password;
mod profile;
mod register;
mod session;
mod token;

pub use account::{Selector, create, delete, disable, enable, find, list, set_password};
pub use email::{Email, EmailError};
pub use gate::Gate;
pub use limits::LimitSettings;
pub use login::login;
pub use name::{DisplayName, NameError};
pub use network::{ClientNetwork, client_address};
pub use pace::Pace;
pub use password::{NewPassword, Password, PasswordError};
pub use profile::rename;
pub use register::{Registration, register};
pub use session::{Current, authenticate, logout};
pub use token::Tokens;

use std::net::IpAddr;
use std::sync::Arc;

use crate::error::Error;
use crate::hash::{Busy, HashError};
use crate::store::User;

/// Who is asking: what audit events and limits need to know of a request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The client's address, as far as trusted proxies vouch for it.
    pub address: IpAddr,
    /// The id that the answer's `X-Request-Id` carries.
    pub request_id: Arc<str>,
}

impl Caller {
    /// The network that limits and the hashing queue count.
    #[must_use]
    pub fn network(&self) -> ClientNetwork {
        ClientNetwork::of(self.address)
    }
}

/// A signed-in user and the token that says so.
#[derive(Debug)]
pub struct SignedIn {
    /// The account.
    pub user: User,
    /// JWT for `Authorization: Bearer`.
    pub access_token: String,
    /// Seconds until the token and its session end.
    pub expires_in: i64,
}

impl From<Busy> for Error {
    fn from(busy: Busy) -> Self {
        Self::Overloaded {
            retry_after_seconds: busy.retry_after_seconds,
        }
    }
}

impl From<HashError> for Error {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Late(busy) => busy.into(),
            HashError::Lost => Self::Internal(error.into()),
        }
    }
}

impl From<gatewright_verify::Error> for Error {
    fn from(error: gatewright_verify::Error) -> Self {
        match error {
            gatewright_verify::Error::Missing => Self::NotAuthenticated,
            gatewright_verify::Error::Expired => Self::TokenExpired,
            other => Self::InvalidToken(other.to_string().into()),
        }
    }
}
