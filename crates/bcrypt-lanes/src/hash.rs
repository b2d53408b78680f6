//! The text form: `$2b$12$`, 22 characters of salt, 31 characters of digest.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use base64::Engine as _;
use base64::alphabet::BCRYPT;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::NO_PAD;

use crate::{Digest, Error};

/// The costs bcrypt has: 2^4 to 2^31 rounds.
const COSTS: RangeInclusive<u32> = 4..=31;

/// bcrypt's own alphabet. Unused bits at the end must be zero.
const BASE64: GeneralPurpose = GeneralPurpose::new(&BCRYPT, NO_PAD);

/// Characters of the whole, of the salt and of the digest.
const HASH_LENGTH: usize = 60;
const SALT_LENGTH: usize = 22;
const DIGEST_LENGTH: usize = 31;

/// A stored password hash: cost, salt and digest.
///
/// Parses `$2a$`, `$2b$` and `$2y$`, which mean the same for passwords of up to 72 bytes, and displays as `$2b$`.
/// Refused are `$2x$` (made by a faulty implementation that mistook bytes above 127), costs outside 4 to 31, and
/// text whose last character of salt or digest has bits set that belong to no byte, so that one hash has one
/// spelling: implementations clear those bits when they write a hash, even if the salt they were given had them,
/// and the `bcrypt` crate refuses such text too.
#[derive(Clone, PartialEq, Eq)]
pub struct Hash {
    cost: u32,
    salt: [u8; 16],
    digest: Digest,
}

impl Hash {
    /// A hash of its parts.
    ///
    /// # Errors
    /// [`Error::Cost`] unless `cost` is from 4 to 31.
    pub fn new(cost: u32, salt: [u8; 16], digest: Digest) -> Result<Hash, Error> {
        Ok(Hash {
            cost: checked_cost(cost)?,
            salt,
            digest,
        })
    }

    /// The binary logarithm of the number of rounds, from 4 to 31.
    pub fn cost(&self) -> u32 {
        self.cost
    }

    /// The salt.
    pub fn salt(&self) -> [u8; 16] {
        self.salt
    }

    /// The digest.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }
}

impl FromStr for Hash {
    type Err = Error;

    /// # Errors
    /// [`Error::Malformed`], or [`Error::Cost`].
    fn from_str(text: &str) -> Result<Hash, Error> {
        let text: &[u8; HASH_LENGTH] = text.as_bytes().try_into().map_err(|_| Error::Malformed)?;
        let (b"$2a$" | b"$2b$" | b"$2y$", rest) = text.split_at(4) else {
            return Err(Error::Malformed);
        };
        let [tens @ b'0'..=b'9', ones @ b'0'..=b'9', b'$', rest @ ..] = rest else {
            return Err(Error::Malformed);
        };
        let cost = checked_cost(10 * u32::from(tens - b'0') + u32::from(ones - b'0'))?;
        let (salt, digest) = rest.split_at(SALT_LENGTH);
        Hash::new(cost, decode(salt)?, Digest::from(decode(digest)?))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let salt: [u8; SALT_LENGTH] = encode(&self.salt);
        let digest: [u8; DIGEST_LENGTH] = encode(self.digest.as_bytes());
        write!(formatter, "$2b${:02}$", self.cost)?;
        for character in salt.into_iter().chain(digest) {
            fmt::Write::write_char(formatter, char::from(character))?;
        }
        Ok(())
    }
}

/// Shows the cost alone: a hash in a log is a hash to attack.
impl fmt::Debug for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Hash")
            .field("cost", &self.cost)
            .finish_non_exhaustive()
    }
}

/// The cost, if bcrypt has it.
pub(crate) fn checked_cost(cost: u32) -> Result<u32, Error> {
    COSTS
        .contains(&cost)
        .then_some(cost)
        .ok_or(Error::Cost(cost))
}

fn decode<const N: usize>(characters: &[u8]) -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    match BASE64.decode_slice(characters, &mut bytes) {
        Ok(length) if length == N => Ok(bytes),
        _ => Err(Error::Malformed),
    }
}

fn encode<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut characters = [0; N];
    BASE64
        .encode_slice(bytes, &mut characters)
        .expect("N is the length of the encoded bytes");
    characters
}
