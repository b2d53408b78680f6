//! Tokens for the tests, well formed or not, but rightly signed.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatewright_verify::{Claims, Error, Key, Verifier};
use serde_json::Value;
use uuid::uuid;

pub(crate) const SECRET: &[u8] = b"correct horse battery staple, and more";

/// 2027-01-15T08:00:00Z.
pub(crate) const NOW: i64 = 1_800_000_000;

pub(crate) fn verifier() -> Verifier {
    Verifier::new([Key::hs256(None, SECRET).unwrap()]).unwrap()
}

pub(crate) fn claims() -> Claims {
    Claims {
        sub: uuid!("01890000-0000-7000-8000-000000000001"),
        email: "ann@example.org".to_owned(),
        iat: NOW - 60,
        exp: NOW + 604_740,
        jti: "a-token".to_owned(),
        sid: uuid!("01890000-0000-7000-8000-000000000002"),
    }
}

/// A compact JWS over these bytes, whatever they are, with the right HMAC.
pub(crate) fn signed(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    sealed(&format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(payload)
    ))
}

/// Appends the right HMAC to what stands before the second dot.
pub(crate) fn sealed(message: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    let tag = hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// The header of our own tokens.
pub(crate) const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

pub(crate) fn payload() -> Value {
    serde_json::to_value(claims()).unwrap()
}

/// Our payload with one member set to another value, or without it.
pub(crate) fn payload_with(name: &str, value: Option<Value>) -> String {
    let mut payload = payload();
    let members = payload.as_object_mut().unwrap();
    match value {
        Some(value) => members.insert(name.to_owned(), value),
        None => members.remove(name),
    };
    payload.to_string()
}

pub(crate) fn verify(token: &str) -> Result<Claims, Error> {
    verifier().verify(token, NOW)
}

/// Refused by both ways in, and for this reason.
pub(crate) fn refused_for(token: &str, error: impl Into<Error>) {
    let error = error.into();
    assert_eq!(verify(token), Err(error), "{token}");
    assert_eq!(verifier().verify_any(token, NOW), Err(error), "{token}");
}

/// Our payload under another header.
pub(crate) fn with_header(header: &str) -> String {
    signed(header, payload().to_string())
}
