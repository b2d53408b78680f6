use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::strict_json::{Members, MembersError, Shape, members};
use crate::{Algorithm, Claims, Error, Key, KeyError, Malformed, Token, claims};

/// The longest token that is looked at, in bytes.
pub const TOKEN_BYTES: usize = 8192;

/// Checks access tokens against a fixed set of keys. Build it once and share it; it is pure, never blocks and touches
/// neither network nor disk.
///
/// A token whose header names a key (`kid`) is checked with the key of that name and no other; one without a name is
/// checked with every key of its algorithm in turn.
///
/// Refused are: anything but a compact JWS of at most [`TOKEN_BYTES`] in canonical unpadded base64url; an `alg` that
/// no key has; a `typ` other than `JWT`; the header members `crit`, `b64`, `zip`, `jwk`, `jku`, `x5c` and `x5u`,
/// whatever they say; duplicate members anywhere; dates that are not JSON integers of 0 to
/// [`LATEST_DATE`](crate::LATEST_DATE); the claim `aud`, because a verifier here has no name of its own; and a token
/// at the very second of its `exp` or before its `nbf`.
#[derive(Clone, Debug)]
pub struct Verifier {
    keys: Vec<Key>,
}

impl Verifier {
    /// # Errors
    /// [`KeyError::NoKeys`], [`KeyError::DuplicateKid`].
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Result<Self, KeyError> {
        let keys: Vec<Key> = keys.into_iter().collect();
        if keys.is_empty() {
            return Err(KeyError::NoKeys);
        }
        let mut kids: Vec<&str> = keys.iter().filter_map(Key::kid).collect();
        kids.sort_unstable();
        if kids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(KeyError::DuplicateKid);
        }
        Ok(Self { keys })
    }

    /// Checks one of Gatewright's own tokens and says what is in it.
    ///
    /// # Errors
    /// Anything in [`Error`] but [`Error::Missing`]; a foreign token is refused for its missing `sid`.
    ///
    /// ```
    /// use gatewright_verify::{Error, Key, Verifier};
    ///
    /// let key = Key::hs256(None, b"a shared secret of 32 bytes or more")?;
    /// let verifier = Verifier::new([key])?;
    /// assert!(matches!(verifier.verify("no token", 1_800_000_000), Err(Error::Malformed(_))));
    /// # Ok::<(), gatewright_verify::KeyError>(())
    /// ```
    pub fn verify(&self, token: &str, now_unix_seconds: i64) -> Result<Claims, Error> {
        let (token, validity) = claims::read(&self.signed_payload(token)?)?;
        let Token::Own(claims) = token else {
            return Err(Error::MissingClaim("sid"));
        };
        validity.check(now_unix_seconds)?;
        Ok(claims)
    }

    /// Checks a token that may also have been made by another holder of the secret: without `sid`, it needs no more
    /// than `sub` and `exp`. Signing out cannot end such a token.
    ///
    /// # Errors
    /// Anything in [`Error`] but [`Error::Missing`].
    pub fn verify_any(&self, token: &str, now_unix_seconds: i64) -> Result<Token, Error> {
        let (token, validity) = claims::read(&self.signed_payload(token)?)?;
        validity.check(now_unix_seconds)?;
        Ok(token)
    }

    /// The decoded payload, once the signature is known to be right: not a byte of its JSON is read before.
    fn signed_payload(&self, token: &str) -> Result<Vec<u8>, Error> {
        if token.len() > TOKEN_BYTES {
            return Err(Error::TooLong);
        }
        let (header, payload, signature) = parts(token).ok_or(Malformed::Parts)?;
        let message = &token[..token.len() - signature.len() - 1];

        let header = decode(header, Malformed::HeaderEncoding)?;
        let payload = decode(payload, Malformed::PayloadEncoding)?;
        let signature = decode(signature, Malformed::SignatureEncoding)?;
        self.check_signature(&header, message.as_bytes(), &signature)?;
        Ok(payload)
    }

    fn check_signature(
        &self,
        header: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Error> {
        let Members {
            texts: [alg, typ, kid],
            ..
        } = members(header, &HEADER).map_err(|error| match error {
            MembersError::Json => Malformed::HeaderJson.into(),
            MembersError::Member(name) => Error::Header(name),
        })?;
        // RFC 7515 §4.1.9: a media type, so letter case does not count.
        if typ.is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT")) {
            return Err(Error::Header("typ"));
        }
        let alg = alg.ok_or(Error::Header("alg"))?;
        let algorithm = Algorithm::from_name(&alg).ok_or(Error::Algorithm)?;

        let mut named = self
            .keys
            .iter()
            .filter(|key| kid.is_none() || key.kid() == kid.as_deref())
            .peekable();
        if named.peek().is_none() {
            return Err(Error::UnknownKey);
        }
        let mut candidates = named.filter(|key| key.algorithm() == algorithm).peekable();
        if candidates.peek().is_none() {
            return Err(Error::Algorithm);
        }
        if candidates.any(|key| key.verifies(message, signature)) {
            Ok(())
        } else {
            Err(Error::Signature)
        }
    }
}

const HEADER: Shape<3, 0> = Shape {
    texts: ["alg", "typ", "kid"],
    integers: [],
    refused: &["crit", "b64", "zip", "jwk", "jku", "x5c", "x5u"],
};

fn parts(token: &str) -> Option<(&str, &str, &str)> {
    let mut parts = token.split('.');
    let three = (parts.next()?, parts.next()?, parts.next()?);
    let complete = !three.0.is_empty() && !three.1.is_empty() && !three.2.is_empty();
    (complete && parts.next().is_none()).then_some(three)
}

fn decode(part: &str, refusal: Malformed) -> Result<Vec<u8>, Malformed> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| refusal)
}
