//! The domain error: what can be refused, in stable words. It knows no HTTP.

use std::borrow::Cow;
use std::fmt;

/// A rule that a field broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Name of the field as the client sends it.
    pub field: &'static str,
    /// One sentence for people.
    pub message: String,
}

/// Every way in which a request can be refused or fail.
#[derive(Debug)]
pub enum Error {
    /// The body is not the JSON object that is wanted.
    MalformedBody(String),
    /// Fields break rules; the first one's sentence is the detail.
    Invalid(Vec<FieldError>),
    /// The canonical e-mail belongs to another account.
    EmailTaken,
    /// Unknown e-mail, wrong password, disabled account or one without password: never told apart.
    InvalidCredentials,
    /// No credential was sent.
    NotAuthenticated,
    /// The token is rightly signed, but its time is over.
    TokenExpired,
    /// The token, its session or its user is not good; the text says why, for the log alone.
    InvalidToken(Cow<'static, str>),
    /// Neither the user nor the session of a rightly signed token exists any more.
    UserNotFound,
    /// Too many failures; the same for right and wrong passwords.
    TooManyAttempts {
        /// Whole seconds until another attempt is heard.
        retry_after_seconds: u64,
    },
    /// The hashing queue is full.
    Overloaded {
        /// Whole seconds until a place is likely.
        retry_after_seconds: u64,
    },
    /// The database did not answer.
    DatabaseUnavailable(Box<dyn std::error::Error + Send + Sync>),
    /// The server has not started fully, or is stopping.
    NotReady,
    /// No such path.
    UnknownPath,
    /// The path does not know this method.
    WrongMethod,
    /// The body is not declared as JSON.
    NotJson,
    /// The body is over the limit.
    BodyTooLarge,
    /// The body did not arrive in time.
    BodyTooSlow,
    /// The URI is over the limit.
    UriTooLong,
    /// A defect of this program; the source goes to the log and nowhere else.
    Internal(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// One of each, for the catalogue in `docs/errors.md` and the tests that hold it to the code.
    #[must_use]
    pub fn catalogue() -> Vec<Self> {
        vec![
            Self::MalformedBody("The body is not valid JSON".into()),
            Self::invalid("field", "What is wrong with it"),
            Self::EmailTaken,
            Self::InvalidCredentials,
            Self::NotAuthenticated,
            Self::TokenExpired,
            Self::InvalidToken("".into()),
            Self::UserNotFound,
            Self::TooManyAttempts {
                retry_after_seconds: 1,
            },
            Self::Overloaded {
                retry_after_seconds: 1,
            },
            Self::DatabaseUnavailable("".into()),
            Self::NotReady,
            Self::UnknownPath,
            Self::WrongMethod,
            Self::NotJson,
            Self::BodyTooLarge,
            Self::BodyTooSlow,
            Self::UriTooLong,
            Self::Internal("".into()),
        ]
    }

    /// A single broken rule.
    #[must_use]
    pub fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError {
            field,
            message: message.into(),
        }])
    }

    /// The stable word by which programs tell refusals apart.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::MalformedBody(_) => "malformed_body",
            Self::Invalid(_) => "validation_failed",
            Self::EmailTaken => "email_taken",
            Self::InvalidCredentials => "invalid_credentials",
            Self::NotAuthenticated => "not_authenticated",
            Self::TokenExpired => "token_expired",
            Self::InvalidToken(_) => "invalid_token",
            Self::UserNotFound => "user_not_found",
            Self::TooManyAttempts { .. } => "too_many_attempts",
            Self::Overloaded { .. } => "overloaded",
            Self::DatabaseUnavailable(_) => "database_unavailable",
            Self::NotReady => "not_ready",
            Self::UnknownPath => "not_found",
            Self::WrongMethod => "method_not_allowed",
            Self::NotJson => "unsupported_media_type",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTooSlow => "body_too_slow",
            Self::UriTooLong => "uri_too_long",
            Self::Internal(_) => "internal_error",
        }
    }

    /// The public sentence.
    #[must_use]
    pub fn detail(&self) -> &str {
        match self {
            Self::MalformedBody(detail) => detail,
            Self::Invalid(errors) => errors
                .first()
                .map_or("Invalid request", |error| &error.message),
            Self::EmailTaken => "Email already registered",
            Self::InvalidCredentials => "Invalid email or password",
            Self::NotAuthenticated => "Not authenticated",
            Self::TokenExpired => "Token has expired",
            Self::InvalidToken(_) => "Invalid token",
            Self::UserNotFound => "User not found",
            Self::TooManyAttempts { .. } => "Too many attempts, try again later",
            Self::Overloaded { .. } => "Too many sign-ins at the moment, try again soon",
            Self::DatabaseUnavailable(_) => "The database is not available, try again soon",
            Self::NotReady => "The server is not ready",
            Self::UnknownPath => "Not found",
            Self::WrongMethod => "Method not allowed",
            Self::NotJson => "The Content-Type must be application/json",
            Self::BodyTooLarge => "The body is larger than 64 KiB",
            Self::BodyTooSlow => "The body did not arrive in time",
            Self::UriTooLong => "The URI is longer than 8 KiB",
            Self::Internal(_) => "Internal server error",
        }
    }

    /// What went wrong underneath, for the log.
    #[must_use]
    pub fn cause(&self) -> Option<String> {
        match self {
            Self::DatabaseUnavailable(source) | Self::Internal(source) => {
                Some(chain(source.as_ref()))
            }
            Self::InvalidToken(reason) => Some(reason.to_string()),
            _ => None,
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail())?;
        match self.cause() {
            Some(cause) if !cause.is_empty() => write!(f, " ({cause})"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
