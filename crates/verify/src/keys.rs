use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::Claims;

/// RFC 7518 §3.2: a key for HS256 has at least the 256 bits of the hash.
const SECRET_BYTES: usize = 32;

/// A signature algorithm, by its name in RFC 7518 and RFC 8037.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Algorithm {
    /// HMAC with SHA-256 over a shared secret.
    Hs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256, 2048 to 8192 bits.
    Rs256,
    /// Ed25519.
    EdDsa,
}

/// A key to check tokens with, bound to exactly one algorithm, so that a token's header can never choose how its bytes
/// are used (RFC 8725 §3.1).
///
/// A shared secret is kept only as prepared HMAC state, which is wiped when the key is dropped. `Debug` shows the
/// name and the algorithm, nothing else.
#[derive(Clone)]
pub struct Key {
    kid: Option<String>,
    material: Material,
}

#[derive(Clone)]
enum Material {
    Secret {
        // In a box, so that moving a key leaves no copies of its state behind.
        hmac: Box<hmac::Key>,
        /// The encoded header of every token that this key signs.
        header: String,
    },
    Public {
        algorithm: Algorithm,
        key: ParsedPublicKey,
    },
}

/// Why a key, or a set of keys, cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A key name must be 1 to 64 characters of `A-Z a-z 0-9 . _ -`.
    #[error("a key name (`kid`) must be 1 to 64 characters of A-Z a-z 0-9 . _ -")]
    Kid,
    /// RFC 7518 §3.2 asks for 32 bytes or more.
    #[error("a secret for HS256 must have {SECRET_BYTES} bytes or more")]
    ShortSecret,
    /// The bytes are not a public key of this kind: a point off the curve, RSA under 2048 or over 8192 bits, an even
    /// exponent or one under 65537.
    #[error("these bytes are not a usable public key")]
    PublicKey,
    /// A verifier without keys would refuse everything.
    #[error("a verifier needs at least one key")]
    NoKeys,
    /// Two keys of a verifier have the same name.
    #[error("two keys have the same name (`kid`)")]
    DuplicateKid,
    /// A public key can check tokens and cannot make them.
    #[error("a public key cannot sign")]
    CannotSign,
}

impl Algorithm {
    /// Reads the name in a token's header, case-sensitively (RFC 7515 §4.1.1).
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "HS256" => Some(Self::Hs256),
            "ES256" => Some(Self::Es256),
            "RS256" => Some(Self::Rs256),
            // RFC 9864 renamed EdDSA with this curve to Ed25519.
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

impl Key {
    /// A shared secret: its bytes as they are (for Gatewright the UTF-8 bytes of `BETTER_AUTH_SECRET`), 32 or more.
    ///
    /// # Errors
    /// [`KeyError::ShortSecret`], [`KeyError::Kid`].
    pub fn hs256(kid: Option<&str>, secret: &[u8]) -> Result<Self, KeyError> {
        if secret.len() < SECRET_BYTES {
            return Err(KeyError::ShortSecret);
        }
        let header = match kid {
            // A checked name has nothing that JSON would escape.
            Some(kid) => format!(r#"{{"alg":"HS256","typ":"JWT","kid":"{kid}"}}"#),
            None => r#"{"alg":"HS256","typ":"JWT"}"#.to_owned(),
        };
        let material = Material::Secret {
            hmac: Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret)),
            header: URL_SAFE_NO_PAD.encode(header),
        };
        Self::new(kid, material)
    }

    /// An Ed25519 public key: the 32 bytes of a JWK's `x` (RFC 8037 §2).
    ///
    /// # Errors
    /// [`KeyError::PublicKey`], [`KeyError::Kid`].
    pub fn ed25519_public(kid: Option<&str>, x: &[u8; 32]) -> Result<Self, KeyError> {
        let key = ParsedPublicKey::new(&ED25519, x).map_err(|_| KeyError::PublicKey)?;
        Self::public(kid, Algorithm::EdDsa, key)
    }

    /// A P-256 public key: the coordinates `x` and `y` of a JWK (RFC 7518 §6.2.1).
    ///
    /// # Errors
    /// [`KeyError::PublicKey`], [`KeyError::Kid`].
    pub fn es256_public(kid: Option<&str>, x: &[u8; 32], y: &[u8; 32]) -> Result<Self, KeyError> {
        let uncompressed_point = [&[4], x.as_slice(), y.as_slice()].concat();
        let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, uncompressed_point)
            .map_err(|_| KeyError::PublicKey)?;
        Self::public(kid, Algorithm::Es256, key)
    }

    /// An RSA public key: `n` and `e` of a JWK, big-endian without leading zeros (RFC 7518 §6.3.1).
    ///
    /// # Errors
    /// [`KeyError::PublicKey`] also for fewer than 2048 (RFC 7518 §3.3) or more than 8192 bits and for an exponent
    /// that is even, under 65537 (FIPS 186-5 §5.1) or longer than 8 bytes; [`KeyError::Kid`].
    pub fn rs256_public(kid: Option<&str>, n: &[u8], e: &[u8]) -> Result<Self, KeyError> {
        if !modulus_is_accepted(n) || !exponent_is_accepted(e) {
            return Err(KeyError::PublicKey);
        }
        let key = RsaPublicKeyComponents { n, e }
            .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
            .map_err(|_| KeyError::PublicKey)?;
        Self::public(kid, Algorithm::Rs256, key)
    }

    /// The name by which a token's header asks for this key.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The one algorithm of this key.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Secret { .. } => Algorithm::Hs256,
            Material::Public { algorithm, .. } => algorithm,
        }
    }

    /// Makes an access token: header `{"alg":"HS256","typ":"JWT"}`, with `"kid"` when the key has a name, and the six
    /// claims. Only Gatewright itself and tests need this.
    ///
    /// # Errors
    /// [`KeyError::CannotSign`] for a public key.
    ///
    /// # Panics
    /// Never: strings, integers and UUIDs are always JSON.
    pub fn sign(&self, claims: &Claims) -> Result<String, KeyError> {
        let Material::Secret { hmac, header } = &self.material else {
            return Err(KeyError::CannotSign);
        };
        let payload =
            serde_json::to_vec(claims).expect("strings, integers and UUIDs are always JSON");
        let mut token = String::with_capacity(header.len() + payload.len() * 4 / 3 + 48);
        token.push_str(header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        let signature = hmac::sign(hmac, token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    /// Whether `signature` is this key's signature of `message`; HMACs are compared in constant time.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Secret { hmac, .. } => hmac::verify(hmac, message, signature).is_ok(),
            Material::Public { key, .. } => key.verify_sig(message, signature).is_ok(),
        }
    }

    fn public(
        kid: Option<&str>,
        algorithm: Algorithm,
        key: ParsedPublicKey,
    ) -> Result<Self, KeyError> {
        Self::new(kid, Material::Public { algorithm, key })
    }

    fn new(kid: Option<&str>, material: Material) -> Result<Self, KeyError> {
        if kid.is_some_and(|kid| !kid_is_accepted(kid)) {
            return Err(KeyError::Kid);
        }
        Ok(Self {
            kid: kid.map(str::to_owned),
            material,
        })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Key")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

fn kid_is_accepted(kid: &str) -> bool {
    (1..=64).contains(&kid.len())
        && kid
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn modulus_is_accepted(n: &[u8]) -> bool {
    let leading_zero_bits = n.first().map_or(0, |first| first.leading_zeros() as usize);
    leading_zero_bits < 8 && (2048..=8192).contains(&(n.len() * 8 - leading_zero_bits))
}

fn exponent_is_accepted(e: &[u8]) -> bool {
    let value = e
        .iter()
        .fold(0, |value, byte| value << 8 | u64::from(*byte));
    e.len() <= 8 && value >= 65_537 && value % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8; 32] = b"0123456789abcdef0123456789ABCDEF";

    #[test]
    fn a_secret_has_32_bytes_or_more() {
        assert_eq!(
            Key::hs256(None, &SECRET[..31]).err(),
            Some(KeyError::ShortSecret)
        );
        assert_eq!(Key::hs256(None, b"").err(), Some(KeyError::ShortSecret));
        assert!(Key::hs256(None, SECRET).is_ok());
    }

    // SEC-24
    #[test]
    fn a_key_name_is_short_and_plain() {
        let longest = "k".repeat(64);
        for kid in ["1", "2026-11.a_B", &longest] {
            assert_eq!(Key::hs256(Some(kid), SECRET).unwrap().kid(), Some(kid));
        }
        let too_long = "k".repeat(65);
        for kid in ["", " ", "a b", "a/b", "é", "a\"", "a\0", &too_long] {
            assert_eq!(
                Key::hs256(Some(kid), SECRET).err(),
                Some(KeyError::Kid),
                "{kid:?}"
            );
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", Key::hs256(Some("1"), SECRET).unwrap());
        assert_eq!(shown, r#"Key { kid: Some("1"), algorithm: Hs256, .. }"#);
    }

    #[test]
    fn weak_or_broken_public_keys_are_refused() {
        let exponent = [1, 0, 1];
        let rsa = |n: &[u8], e: &[u8]| Key::rs256_public(None, n, e).err();
        let refused = Some(KeyError::PublicKey);
        let modulus = [0xff; 256];
        assert_eq!(rsa(&modulus, &exponent), None);
        assert_eq!(rsa(&[&[0x7f], &modulus[1..]].concat(), &exponent), refused);
        assert_eq!(rsa(&[&[0], &modulus[..]].concat(), &exponent), refused);
        assert_eq!(rsa(&[0xff; 1025], &exponent), refused);
        assert_eq!(rsa(&[], &exponent), refused);
        for exponent in [&[][..], &[3], &[1, 0, 0], &[1, 0, 2], &[1; 9]] {
            assert_eq!(rsa(&modulus, exponent), refused, "{exponent:?}");
        }

        assert_eq!(
            Key::es256_public(None, &[1; 32], &[1; 32]).err(),
            refused,
            "not on the curve"
        );
    }

    #[test]
    fn a_public_key_cannot_sign() {
        let key = Key::rs256_public(None, &[0xff; 256], &[1, 0, 1]).unwrap();
        let claims = Claims {
            sub: uuid::Uuid::nil(),
            email: String::new(),
            iat: 0,
            exp: 1,
            jti: String::new(),
            sid: uuid::Uuid::nil(),
        };
        assert_eq!(key.sign(&claims), Err(KeyError::CannotSign));
    }
}
