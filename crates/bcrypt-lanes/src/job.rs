//! What is to be computed: password, salt and cost, as bcrypt's key schedule wants them.

use std::{array, fmt};

use zeroize::Zeroize;

use crate::Error;
use crate::hash::checked_cost;

/// As many bytes of a password as bcrypt uses.
const MAX_PASSWORD_BYTES: usize = 72;

/// One bcrypt computation to do: the password is already expanded to key words.
///
/// Wipes itself when dropped. The words live on the heap, so that moving a job leaves no copy behind.
pub struct Job {
    cost: u32,
    words: Box<Words>,
}

/// Eighteen words of the password and of the salt, each repeated cyclically.
struct Words {
    key: [u32; 18],
    salt: [u32; 18],
}

impl Job {
    /// A job of 2^`cost` rounds, `cost` from 4 to 31.
    ///
    /// The password is used as `$2b$` uses it: its bytes and one NUL, repeated up to 72 bytes; a password of 72
    /// bytes has no room for the NUL. NUL bytes within a password are hashed as they are, see the crate's
    /// documentation for why a caller should refuse them.
    ///
    /// # Errors
    /// [`Error::Cost`], or [`Error::PasswordTooLong`] for more than 72 bytes: nothing is cut off silently.
    pub fn new(cost: u32, salt: [u8; 16], password: &[u8]) -> Result<Job, Error> {
        let cost = checked_cost(cost)?;
        if password.len() > MAX_PASSWORD_BYTES {
            return Err(Error::PasswordTooLong(password.len()));
        }
        let mut words = Box::new(Words {
            key: [0; 18],
            salt: [0; 18],
        });
        let mut terminated = [0; MAX_PASSWORD_BYTES];
        terminated[..password.len()].copy_from_slice(password);
        let used_bytes = MAX_PASSWORD_BYTES.min(password.len() + 1);
        repeat(&terminated[..used_bytes], &mut words.key);
        repeat(&salt, &mut words.salt);
        terminated.zeroize();
        Ok(Job { cost, words })
    }

    pub(crate) fn rounds(&self) -> u32 {
        1 << self.cost
    }

    pub(crate) fn key(&self) -> &[u32; 18] {
        &self.words.key
    }

    pub(crate) fn salt(&self) -> &[u32; 18] {
        &self.words.salt
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.words.key.zeroize();
        self.words.salt.zeroize();
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Job")
            .field("cost", &self.cost)
            .finish_non_exhaustive()
    }
}

/// Fills `words`, big-endian, with `bytes` over and over.
fn repeat(bytes: &[u8], words: &mut [u32; 18]) {
    for (position, word) in words.iter_mut().enumerate() {
        *word = u32::from_be_bytes(array::from_fn(|byte| {
            bytes[(4 * position + byte) % bytes.len()]
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_bcrypt_would_cut_off() {
        assert!(Job::new(4, [0; 16], &[b'a'; 72]).is_ok());
        assert_eq!(
            Job::new(4, [0; 16], &[b'a'; 73]).unwrap_err(),
            Error::PasswordTooLong(73)
        );
    }

    #[test]
    fn refuses_costs_bcrypt_does_not_have() {
        for cost in [0, 3, 32, u32::MAX] {
            assert_eq!(Job::new(cost, [0; 16], b"").unwrap_err(), Error::Cost(cost));
        }
        assert_eq!(Job::new(31, [0; 16], b"").unwrap().rounds(), 1 << 31);
    }

    #[test]
    fn password_is_terminated_and_repeated() {
        let job = Job::new(4, [7; 16], b"ab").unwrap();
        assert_eq!(job.key()[..3], [0x6162_0061, 0x6200_6162, 0x0061_6200]);
        let empty = Job::new(4, [7; 16], b"").unwrap();
        assert_eq!(empty.key(), &[0; 18]);
        let full = Job::new(4, [7; 16], &[b'a'; 72]).unwrap();
        assert_eq!(full.key(), &[0x6161_6161; 18]);
    }

    #[test]
    fn debug_shows_no_secret() {
        let job = Job::new(4, [7; 16], b"secret").unwrap();
        assert_eq!(format!("{job:?}"), "Job { cost: 4, .. }");
    }
}
