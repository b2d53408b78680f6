//! Access tokens: made and checked with the shared secrets.

use std::time::Duration;

use gatewright_verify::{Claims, Key, KeyError, Token, Verifier};
use uuid::Uuid;

use crate::error::Error;
use crate::settings::{Secrets, VersionedSecret};
use crate::store::{NewSession, User};

/// The keys and rules for tokens.
pub struct Tokens {
    signing_key: Key,
    verifier: Verifier,
    ttl_seconds: i64,
    accept_foreign: bool,
}

impl Tokens {
    /// The first secret signs, all verify. Sessions and tokens live for `ttl`, in whole seconds.
    ///
    /// # Errors
    /// [`KeyError`] when a secret or its version cannot be a key; the settings have checked both.
    pub fn new(secrets: &Secrets, ttl: Duration, accept_foreign: bool) -> Result<Self, KeyError> {
        let key = |secret: &VersionedSecret| {
            Key::hs256(secret.version.as_deref(), secret.secret.expose_bytes())
        };
        Ok(Self {
            signing_key: key(secrets.signing())?,
            verifier: Verifier::new(
                secrets
                    .verifying()
                    .iter()
                    .map(key)
                    .collect::<Result<Vec<_>, _>>()?,
            )?,
            ttl_seconds: i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX / 1000),
            accept_foreign,
        })
    }

    /// A new session of `user`, not yet stored, that ends with its token.
    #[must_use]
    pub fn new_session(&self, user_id: Uuid, session_id: Uuid, now_ms: i64) -> NewSession {
        // Whole seconds, because a token's dates have no fractions: session and token must end together.
        let created_at = now_ms - now_ms.rem_euclid(1000);
        let expires_at = created_at + self.ttl_seconds * 1000;
        NewSession {
            id: session_id,
            user_id,
            created_at,
            expires_at,
        }
    }

    /// Signs the token of a session.
    ///
    /// # Panics
    /// Never: the signing key is a shared secret.
    #[must_use]
    pub fn sign(&self, session: &NewSession, user: &User, token_id: Uuid) -> String {
        let claims = Claims {
            sub: session.user_id,
            email: user.email.clone(),
            iat: session.created_at / 1000,
            exp: session.expires_at / 1000,
            jti: token_id.to_string(),
            sid: session.id,
        };
        self.signing_key
            .sign(&claims)
            .expect("a shared secret can sign")
    }

    /// Checks form, algorithm, signature and times; pure, about two microseconds.
    ///
    /// # Errors
    /// [`Error::TokenExpired`] or [`Error::InvalidToken`].
    pub fn check(&self, token: &str, now_ms: i64) -> Result<Token, Error> {
        let now_seconds = now_ms.div_euclid(1000);
        if self.accept_foreign {
            Ok(self.verifier.verify_any(token, now_seconds)?)
        } else {
            Ok(Token::Own(self.verifier.verify(token, now_seconds)?))
        }
    }

    /// Life of a token and its session in seconds.
    #[must_use]
    pub fn ttl_seconds(&self) -> i64 {
        self.ttl_seconds
    }
}
