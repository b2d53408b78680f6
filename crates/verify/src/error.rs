/// Why a request or a token was refused.
///
/// What a client may learn is [`detail`](Error::detail), [`code`](Error::code) and
/// [`www_authenticate`](Error::www_authenticate). The `Display` text says the precise reason; it is for the log and
/// for whoever debugs a token, and never quotes the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request carries no bearer token.
    #[error("no bearer token was sent")]
    Missing,
    /// The token is longer than [`TOKEN_BYTES`](crate::TOKEN_BYTES).
    #[error("the token is longer than {} bytes", crate::TOKEN_BYTES)]
    TooLong,
    /// The credential or the token is not well formed.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A header member is missing, of the wrong type, or one that no token of ours may carry.
    #[error("the header member `{0}` is missing, of the wrong type or not accepted")]
    Header(&'static str),
    /// `alg` names no algorithm that is configured, or not the algorithm of the key that `kid` names.
    #[error("the algorithm is not one that is configured for this key")]
    Algorithm,
    /// `kid` names no configured key.
    #[error("the header names an unknown key (`kid`)")]
    UnknownKey,
    /// The signature was not made with a configured key, or the token was changed after it was signed.
    #[error("the signature is wrong: signed with another secret, or changed since")]
    Signature,
    /// A claim that must be there is not.
    #[error("the claim `{0}` is missing")]
    MissingClaim(&'static str),
    /// A claim has the wrong JSON type, is out of range, or is one that no token of ours may carry.
    #[error("the claim `{0}` is of the wrong type, out of range or not accepted")]
    InvalidClaim(&'static str),
    /// The claim `nbf` lies in the future.
    #[error("the token is not valid yet (`nbf`)")]
    NotYetValid,
    /// The claim `exp` is now or in the past, and nothing else is wrong with the token.
    #[error("the token has expired (`exp`)")]
    Expired,
}

/// How a credential or a token breaks the form of a compact JWS (RFC 7515 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// More than one `Authorization` header, or one that is not a scheme and one token.
    #[error("the request must have one Authorization header with one bearer token")]
    Credential,
    /// Not three non-empty parts divided by dots: JWE and the JSON serialisation end here.
    #[error("the token does not have exactly three non-empty parts")]
    Parts,
    /// The header is not canonical unpadded base64url.
    #[error("the header is not canonical unpadded base64url")]
    HeaderEncoding,
    /// The payload is not canonical unpadded base64url.
    #[error("the payload is not canonical unpadded base64url")]
    PayloadEncoding,
    /// The signature is not canonical unpadded base64url.
    #[error("the signature is not canonical unpadded base64url")]
    SignatureEncoding,
    /// The header is not one UTF-8 JSON object without duplicate members.
    #[error("the header is not a strict JSON object")]
    HeaderJson,
    /// The payload, though rightly signed, is not one UTF-8 JSON object without duplicate members.
    #[error("the payload is not a strict JSON object")]
    PayloadJson,
}

impl Error {
    /// The sentence for the client: `Not authenticated`, `Token has expired` or `Invalid token`.
    #[must_use]
    pub fn detail(self) -> &'static str {
        match self {
            Self::Missing => "Not authenticated",
            Self::Expired => "Token has expired",
            _ => "Invalid token",
        }
    }

    /// The stable word for programs: `not_authenticated`, `token_expired` or `invalid_token`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "not_authenticated",
            Self::Expired => "token_expired",
            _ => "invalid_token",
        }
    }

    /// The value of the `WWW-Authenticate` header that goes with the 401 (RFC 6750 §3).
    #[must_use]
    pub fn www_authenticate(self) -> &'static str {
        match self {
            Self::Missing => "Bearer",
            _ => "Bearer error=\"invalid_token\"",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // SEC-73
    #[test]
    fn a_client_learns_one_of_three_things() {
        let said = |error: Error| (error.detail(), error.code(), error.www_authenticate());
        let invalid = (
            "Invalid token",
            "invalid_token",
            "Bearer error=\"invalid_token\"",
        );

        assert_eq!(
            said(Error::Missing),
            ("Not authenticated", "not_authenticated", "Bearer")
        );
        assert_eq!(
            said(Error::Expired),
            (
                "Token has expired",
                "token_expired",
                "Bearer error=\"invalid_token\""
            )
        );
        for error in [
            Error::TooLong,
            Malformed::Credential.into(),
            Malformed::PayloadJson.into(),
            Error::Header("crit"),
            Error::Algorithm,
            Error::UnknownKey,
            Error::Signature,
            Error::MissingClaim("sid"),
            Error::InvalidClaim("exp"),
            Error::NotYetValid,
        ] {
            assert_eq!(said(error), invalid, "{error:?}");
        }
    }
}
