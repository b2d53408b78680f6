use std::borrow::Cow;

use serde::Serialize;
use uuid::Uuid;

use crate::strict_json::{Members, MembersError, Shape, members};
use crate::{Error, Malformed};

/// The latest date that a claim may hold: 9999-12-31T23:59:59Z, in Unix seconds. The earliest is 0.
pub const LATEST_DATE: i64 = 253_402_300_799;

/// What one of Gatewright's access tokens says. Every date is in Unix seconds, 0 to [`LATEST_DATE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Claims {
    /// The user's id.
    pub sub: Uuid,
    /// The user's e-mail address when the token was made; the user is known by `sub`, never by this.
    pub email: String,
    /// When the token was made. It may lie a little ahead of this machine's clock.
    pub iat: i64,
    /// The first second at which the token is no longer valid.
    pub exp: i64,
    /// The token's own id.
    pub jti: String,
    /// The session's id. Only Gatewright knows whether the session has been ended.
    pub sid: Uuid,
}

/// What a token says that was signed with the shared secret by somebody other than Gatewright: it has no session, so
/// signing out cannot end it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignClaims {
    /// The user's id.
    pub sub: Uuid,
    /// An e-mail address, if there is one.
    pub email: Option<String>,
    /// When the token was made, if it says so.
    pub iat: Option<i64>,
    /// The first second at which the token is no longer valid.
    pub exp: i64,
    /// The token's own id, if it has one.
    pub jti: Option<String>,
}

/// A token that is rightly signed and within its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// Made by Gatewright: it belongs to a session.
    Own(Claims),
    /// Made by another holder of the secret: it has no `sid`.
    Foreign(ForeignClaims),
}

/// When a token may be used.
pub(crate) struct Validity {
    not_before: Option<i64>,
    expires: i64,
}

impl Validity {
    /// No leeway: a token is expired at the second of its `exp` (RFC 7519 §4.1.4).
    pub(crate) fn check(&self, now_unix_seconds: i64) -> Result<(), Error> {
        if self.not_before.is_some_and(|date| now_unix_seconds < date) {
            return Err(Error::NotYetValid);
        }
        if now_unix_seconds >= self.expires {
            return Err(Error::Expired);
        }
        Ok(())
    }
}

/// Reads the payload of a rightly signed token.
pub(crate) fn read(payload: &[u8]) -> Result<(Token, Validity), Error> {
    let Members {
        texts: [sub, email, jti, sid],
        integers: [iat, exp, nbf],
    } = members(payload, &PAYLOAD).map_err(|error| match error {
        MembersError::Json => Malformed::PayloadJson.into(),
        MembersError::Member(name) => Error::InvalidClaim(name),
    })?;

    let sub = required("sub", sub.map(|text| uuid("sub", &text)).transpose()?)?;
    let sid = sid.map(|text| uuid("sid", &text)).transpose()?;
    let iat = iat.map(|date| in_range("iat", date)).transpose()?;
    let exp = required("exp", exp.map(|date| in_range("exp", date)).transpose()?)?;
    let not_before = nbf.map(|date| in_range("nbf", date)).transpose()?;
    let email = email.map(Cow::into_owned);
    let jti = jti.map(Cow::into_owned);

    let token = match sid {
        Some(sid) => Token::Own(Claims {
            sub,
            email: required("email", email)?,
            iat: required("iat", iat)?,
            exp,
            jti: required("jti", jti)?,
            sid,
        }),
        None => Token::Foreign(ForeignClaims {
            sub,
            email,
            iat,
            exp,
            jti,
        }),
    };
    let validity = Validity {
        not_before,
        expires: exp,
    };
    Ok((token, validity))
}

const PAYLOAD: Shape<4, 3> = Shape {
    texts: ["sub", "email", "jti", "sid"],
    integers: ["iat", "exp", "nbf"],
    // RFC 7519 §4.1.3: who does not find itself in a token's audience must refuse it, and nobody here has a name.
    refused: &["aud"],
};

fn required<T>(name: &'static str, value: Option<T>) -> Result<T, Error> {
    value.ok_or(Error::MissingClaim(name))
}

fn in_range(name: &'static str, date: i64) -> Result<i64, Error> {
    if (0..=LATEST_DATE).contains(&date) {
        Ok(date)
    } else {
        Err(Error::InvalidClaim(name))
    }
}

/// The hyphenated form alone (RFC 9562 §4), so that one id has one spelling, but for letter case.
fn uuid(name: &'static str, text: &str) -> Result<Uuid, Error> {
    if text.len() != uuid::fmt::Hyphenated::LENGTH {
        return Err(Error::InvalidClaim(name));
    }
    Uuid::try_parse(text).map_err(|_| Error::InvalidClaim(name))
}
