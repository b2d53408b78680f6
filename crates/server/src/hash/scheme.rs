//! Schemes: what is computed for a password, and the bounds that keep a stored hash from being a weapon.

use std::ops::RangeInclusive;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, Version};
use zeroize::Zeroizing;

/// Bytes of a password that bcrypt uses; what follows would be cut off silently.
const BCRYPT_MAX_BYTES: usize = 72;

/// Costs of a bcrypt hash that are computed: 4 is bcrypt's least, 15 (about two seconds) our most. (SEC-07)
pub(super) const BCRYPT_COSTS: RangeInclusive<u32> = 4..=15;

/// argon2id as OWASP's Password Storage Cheat Sheet asks at least: 19 MiB in KiB, two passes, one lane. (SEC-06)
const ARGON2ID_KIB: u32 = 19_456;
const ARGON2ID_PASSES: u32 = 2;
const ARGON2ID_LANES: u32 = 1;

/// Most of each that a stored argon2id hash may ask for: 1 GiB, ten passes, sixteen lanes. (SEC-07)
const ARGON2ID_MAX_KIB: u32 = 1 << 20;
const ARGON2ID_MAX_PASSES: u32 = 10;
const ARGON2ID_MAX_LANES: u32 = 16;

/// KiB that argon2id fills in the time of one bcrypt round on full lanes, measured on a processor of 2024:
/// 38,912 KiB in 13 ms, 4,096 rounds in 50 ms. Predictions are made in rounds; this needs no precision.
const ARGON2ID_KIB_PER_ROUND: u64 = 32;

/// The kind of hash that new passwords get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// bcrypt of 2^`cost` rounds, `cost` from 4 to 15; a password that bcrypt cannot hold whole gets argon2id.
    Bcrypt {
        /// Binary logarithm of the number of rounds.
        cost: u32,
    },
    /// argon2id with 19 MiB, two passes and one lane.
    Argon2id,
}

impl Scheme {
    /// The recipe of this kind.
    pub(super) fn recipe(self, salt: [u8; 16]) -> Recipe {
        match self {
            Scheme::Bcrypt { cost } => Recipe::Bcrypt { cost, salt },
            Scheme::Argon2id => Recipe::Argon2id {
                params: Params::new(ARGON2ID_KIB, ARGON2ID_PASSES, ARGON2ID_LANES, None)
                    .expect("constants within argon2's bounds"),
                salt: Salt::new(&salt).expect("sixteen bytes are a salt"),
            },
        }
    }

    /// The recipe for a new hash of this password: of this kind if that holds it whole, else argon2id.
    pub(super) fn recipe_for(self, password: &[u8], salt: [u8; 16]) -> Recipe {
        let configured = self.recipe(salt);
        if configured.holds(password) {
            configured
        } else {
            Scheme::Argon2id.recipe(salt)
        }
    }
}

/// All that a hash depends on but the password.
#[derive(Clone)]
pub(super) enum Recipe {
    Bcrypt { cost: u32, salt: [u8; 16] },
    Argon2id { params: Params, salt: Salt },
}

impl Recipe {
    /// Whether every byte of the password counts. bcrypt cuts at 72 bytes, and repeats what it has with a NUL in
    /// between, so that "ab" and "ab\0ab" are one to it.
    pub(super) fn holds(&self, password: &[u8]) -> bool {
        match self {
            Recipe::Bcrypt { .. } => password.len() <= BCRYPT_MAX_BYTES && !password.contains(&0),
            Recipe::Argon2id { .. } => true,
        }
    }

    /// Whether a hash by this recipe is to be replaced when the configured scheme is `scheme`.
    pub(super) fn is_weaker_than(&self, scheme: Scheme) -> bool {
        match (self, scheme) {
            (Recipe::Bcrypt { cost, .. }, Scheme::Bcrypt { cost: wanted }) => *cost < wanted,
            (Recipe::Bcrypt { .. }, Scheme::Argon2id) => true,
            (Recipe::Argon2id { params, .. }, _) => {
                params.m_cost() < ARGON2ID_KIB || params.t_cost() < ARGON2ID_PASSES
            }
        }
    }

    /// Whether computing this one costs a guesser as much as a hash of the configured kind does.
    pub(super) fn pays_for(&self, scheme: Scheme) -> bool {
        let same_kind = matches!(
            (self, scheme),
            (Recipe::Bcrypt { .. }, Scheme::Bcrypt { .. })
                | (Recipe::Argon2id { .. }, Scheme::Argon2id)
        );
        same_kind && !self.is_weaker_than(scheme)
    }

    /// How much there is to compute, in rounds of bcrypt.
    pub(super) fn rounds(&self) -> u64 {
        match self {
            Recipe::Bcrypt { cost, .. } => 1 << cost,
            Recipe::Argon2id { params, .. } => {
                u64::from(params.m_cost()) * u64::from(params.t_cost()) / ARGON2ID_KIB_PER_ROUND
            }
        }
    }

    /// The work of hashing `password`, of which bcrypt takes what it can hold: ask [`Recipe::holds`] before the
    /// result is kept or compared.
    pub(super) fn work(&self, password: &[u8]) -> Work {
        match self {
            Recipe::Bcrypt { cost, salt } => {
                let used = &password[..password.len().min(BCRYPT_MAX_BYTES)];
                Work::Bcrypt(
                    bcrypt_lanes::Job::new(*cost, *salt, used)
                        .expect("cost and length are within bcrypt's bounds"),
                )
            }
            Recipe::Argon2id { params, salt } => Work::Argon2id(Box::new(Argon2idWork {
                params: params.clone(),
                salt: *salt,
                password: Zeroizing::new(password.to_vec()),
            })),
        }
    }

    /// The hash as the database keeps it, `None` when the digest is not of this kind.
    pub(super) fn text(&self, digest: &Digest) -> Option<String> {
        match (self, digest) {
            (Recipe::Bcrypt { cost, salt }, Digest::Bcrypt(digest)) => {
                let hash = bcrypt_lanes::Hash::new(*cost, *salt, digest.clone()).ok()?;
                Some(hash.to_string())
            }
            (Recipe::Argon2id { params, salt }, Digest::Argon2id(digest)) => {
                let hash = PasswordHash {
                    algorithm: ARGON2ID_IDENT,
                    version: Some(Version::V0x13.into()),
                    params: ParamsString::try_from(params).ok()?,
                    salt: Some(*salt),
                    hash: Some(*digest),
                };
                Some(hash.to_string())
            }
            _ => None,
        }
    }
}

/// What a hash is compared by, in constant time.
#[derive(PartialEq, Eq)]
pub(super) enum Digest {
    Bcrypt(bcrypt_lanes::Digest),
    Argon2id(Output),
}

/// A hash as the database keeps it.
pub(super) struct Stored {
    pub(super) recipe: Recipe,
    pub(super) digest: Digest,
}

impl Stored {
    /// Reads `$2a$`, `$2b$`, `$2y$` and `$argon2id$` within bounds; all else is nobody's hash. (SEC-07)
    pub(super) fn parse(text: &str) -> Option<Stored> {
        if text.starts_with("$2") {
            Stored::parse_bcrypt(text)
        } else {
            Stored::parse_argon2id(text)
        }
    }

    fn parse_bcrypt(text: &str) -> Option<Stored> {
        let hash: bcrypt_lanes::Hash = text.parse().ok()?;
        BCRYPT_COSTS.contains(&hash.cost()).then(|| Stored {
            recipe: Recipe::Bcrypt {
                cost: hash.cost(),
                salt: hash.salt(),
            },
            digest: Digest::Bcrypt(hash.digest().clone()),
        })
    }

    fn parse_argon2id(text: &str) -> Option<Stored> {
        let hash = PasswordHash::new(text).ok()?;
        let number = |name| hash.params.get_decimal(name);
        let (Some(kib), Some(passes), Some(lanes), 3) = (
            number("m"),
            number("t"),
            number("p"),
            hash.params.iter().count(),
        ) else {
            return None;
        };
        let acceptable = hash.algorithm == ARGON2ID_IDENT
            && hash.version == Some(Version::V0x13.into())
            && kib <= ARGON2ID_MAX_KIB
            && passes <= ARGON2ID_MAX_PASSES
            && lanes <= ARGON2ID_MAX_LANES;
        let (true, Some(salt), Some(digest)) = (acceptable, hash.salt, hash.hash) else {
            return None;
        };
        Some(Stored {
            recipe: Recipe::Argon2id {
                params: Params::new(kib, passes, lanes, Some(digest.len())).ok()?,
                salt,
            },
            digest: Digest::Argon2id(digest),
        })
    }
}

/// One computation for a worker.
pub(super) enum Work {
    Bcrypt(bcrypt_lanes::Job),
    Argon2id(Box<Argon2idWork>),
    #[cfg(test)]
    Panic,
}

impl Work {
    /// Whether it needs memory of its own, more than a worker keeps; such work is done one at a time.
    pub(super) fn is_big(&self) -> bool {
        matches!(self, Work::Argon2id(work) if work.params.block_count() > WorkerMemory::BLOCKS)
    }
}

/// One computation of argon2id.
pub(super) struct Argon2idWork {
    params: Params,
    salt: Salt,
    password: Zeroizing<Vec<u8>>,
}

impl Argon2idWork {
    /// Computes it in the worker's memory, or in memory of its own when that is too small.
    ///
    /// # Errors
    /// When the system has no memory left.
    pub(super) fn compute(&self, memory: &mut WorkerMemory) -> Result<Digest, argon2::Error> {
        let blocks_needed = self.params.block_count();
        let mut bytes = [0; Output::MAX_LENGTH];
        let bytes = &mut bytes[..self
            .params
            .output_len()
            .unwrap_or(Params::DEFAULT_OUTPUT_LEN)];
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone());
        let mut own = WorkerMemory::default();
        let blocks = if blocks_needed <= WorkerMemory::BLOCKS {
            memory.at_least(WorkerMemory::BLOCKS)
        } else {
            own.at_least(blocks_needed)
        }?;
        argon2.hash_password_into_with_memory(&self.password, &self.salt, bytes, blocks)?;
        let output = Output::new(bytes).map_err(|_| argon2::Error::OutputTooLong)?;
        Ok(Digest::Argon2id(output))
    }
}

/// The block of memory that a worker reuses for argon2id: fresh memory would cost more page faults than the hash.
#[derive(Default)]
pub(super) struct WorkerMemory(Vec<Block>);

impl WorkerMemory {
    /// As many blocks of 1 KiB as our own kind of argon2id needs.
    const BLOCKS: usize = ARGON2ID_KIB as usize;

    fn at_least(&mut self, blocks: usize) -> Result<&mut [Block], argon2::Error> {
        let missing = blocks.saturating_sub(self.0.len());
        self.0
            .try_reserve_exact(missing)
            .map_err(|_| argon2::Error::OutOfMemory)?;
        self.0.resize(blocks.max(self.0.len()), Block::new());
        Ok(&mut self.0)
    }
}
