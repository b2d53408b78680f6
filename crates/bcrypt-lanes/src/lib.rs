#![doc = include_str!("../README.md")]

mod calibrate;
mod digest;
mod engine;
mod hash;
mod job;
mod lane;
mod pi;

pub use calibrate::calibrate;
pub use digest::Digest;
pub use engine::Engine;
pub use hash::Hash;
pub use job::Job;

/// Lanes of the widest engine: 34 KiB of state, about what a first-level cache holds.
pub const MAX_LANES: usize = 8;

/// Why there is no hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The cost is not one of 4 to 31.
    #[error("bcrypt's cost is from 4 to 31, not {0}")]
    Cost(u32),
    /// The password has this many bytes, and bcrypt uses no more than 72.
    #[error("bcrypt uses up to 72 bytes of a password, not {0}")]
    PasswordTooLong(usize),
    /// The text is not `$2b$`, cost, `$`, 22 characters of salt and 31 of digest.
    #[error("not the text of a bcrypt hash")]
    Malformed,
}

/// Hashes one password on the calling thread; `salt` must be random, `cost` is from 4 to 31.
///
/// # Errors
/// [`Error::Cost`], or [`Error::PasswordTooLong`] for more than 72 bytes.
pub fn hash(cost: u32, salt: [u8; 16], password: &[u8]) -> Result<Hash, Error> {
    Hash::new(cost, salt, compute(Job::new(cost, salt, password)?))
}

/// Whether the password is the one hashed, on the calling thread, in the same time whether it is or not.
///
/// # Errors
/// [`Error::PasswordTooLong`] for more than 72 bytes.
pub fn verify(password: &[u8], hash: &Hash) -> Result<bool, Error> {
    let job = Job::new(hash.cost(), hash.salt(), password)?;
    Ok(compute(job) == *hash.digest())
}

fn compute(job: Job) -> Digest {
    let mut lane = lane::Lane::free();
    lane.start(&job);
    lane::run(std::array::from_mut(&mut lane), job.rounds());
    lane.digest()
}
