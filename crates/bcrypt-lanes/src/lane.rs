//! One bcrypt computation, and the kernel that runs several of them in lock step.

use std::array;

use zeroize::Zeroize;

use crate::job::Job;
use crate::{Digest, pi};

/// The state of one computation.
///
/// Lanes lie next to each other in memory, so that one register addresses all of them.
#[repr(align(64))]
pub(crate) struct Lane {
    /// Blowfish's P array, 18 words, and its four S boxes, 256 words each, in the order in which they are refilled.
    words: [u32; 1042],
    key: [u32; 18],
    salt: [u32; 18],
    rounds_left: u32,
}

impl Lane {
    /// A free lane: nothing to do, nothing to hide.
    pub(crate) fn free() -> Lane {
        Lane {
            words: [0; 1042],
            key: [0; 18],
            salt: [0; 18],
            rounds_left: 0,
        }
    }

    /// Takes a job and does what comes before its rounds, which takes as long as half a round.
    pub(crate) fn start(&mut self, job: &Job) {
        self.words = pi::FRACTION;
        self.key = *job.key();
        self.salt = *job.salt();
        self.rounds_left = job.rounds();
        mix(&mut self.words, &self.key);
        let salt = array::from_fn(|word| self.salt[word]);
        refill(array::from_mut(self), salt);
    }

    /// Rounds to do until the digest can be taken.
    pub(crate) fn rounds_left(&self) -> u32 {
        self.rounds_left
    }

    /// Does what comes after the rounds, which takes as long as a fifth of a round.
    pub(crate) fn digest(&self) -> Digest {
        /// "OrpheanBeholderScryDoubt", as three blocks.
        const TEXT: [[u32; 2]; 3] = [
            [0x4f72_7068, 0x6561_6e42],
            [0x6568_6f6c, 0x6465_7253],
            [0x6372_7944, 0x6f75_6274],
        ];
        const ENCRYPTIONS: usize = 64;

        let mut bytes = [0; 24];
        for (block, eight_bytes) in TEXT.iter().zip(bytes.chunks_exact_mut(8)) {
            let (mut left, mut right) = ([block[0]], [block[1]]);
            for _ in 0..ENCRYPTIONS {
                encipher(array::from_ref(self), &mut left, &mut right);
            }
            eight_bytes[..4].copy_from_slice(&left[0].to_be_bytes());
            eight_bytes[4..].copy_from_slice(&right[0].to_be_bytes());
        }
        let digest = Digest::from(array::from_fn(|byte| bytes[byte]));
        bytes.zeroize();
        digest
    }

    /// Frees the lane: nothing of the job remains.
    pub(crate) fn wipe(&mut self) {
        self.words.zeroize();
        self.key.zeroize();
        self.salt.zeroize();
        self.rounds_left.zeroize();
    }

    #[cfg(test)]
    pub(crate) fn is_wiped(&self) -> bool {
        let zero = |words: &[u32]| words.iter().all(|&word| word == 0);
        zero(&self.words) && zero(&self.key) && zero(&self.salt) && self.rounds_left == 0
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// Runs `rounds` rounds on all lanes in lock step; no lane may have fewer left.
///
/// One round is a key expansion with the password and one with the salt. Each step of a lane waits for its last
/// one; the steps of the other lanes fill the wait.
pub(crate) fn run<const N: usize>(lanes: &mut [Lane; N], rounds: u32) {
    for _ in 0..rounds {
        for lane in lanes.iter_mut() {
            mix(&mut lane.words, &lane.key);
        }
        refill(lanes, [0; 4]);
        for lane in lanes.iter_mut() {
            mix(&mut lane.words, &lane.salt);
        }
        refill(lanes, [0; 4]);
    }
    for lane in lanes {
        lane.rounds_left -= rounds;
    }
}

/// Mixes the password or the salt into the P array.
fn mix(words: &mut [u32; 1042], mixed_in: &[u32; 18]) {
    for (word, mixed_in) in words.iter_mut().zip(mixed_in) {
        *word ^= mixed_in;
    }
}

/// Replaces all words by the running encryption of the salt.
#[inline(always)]
fn refill<const N: usize>(lanes: &mut [Lane; N], salt: [u32; 4]) {
    let (mut left, mut right) = ([0; N], [0; N]);
    for word in (0..1042).step_by(2) {
        for n in 0..N {
            left[n] ^= salt[word % 4];
            right[n] ^= salt[word % 4 + 1];
        }
        encipher(lanes, &mut left, &mut right);
        for n in 0..N {
            lanes[n].words[word] = left[n];
            lanes[n].words[word + 1] = right[n];
        }
    }
}

/// Blowfish's encryption of one block per lane.
///
/// The halves of the block are swapped one by one: `mem::swap` of the arrays makes the compiler keep pairs of words
/// in one register, which costs a tenth of the speed.
#[inline(always)]
fn encipher<const N: usize>(lanes: &[Lane; N], left: &mut [u32; N], right: &mut [u32; N]) {
    for n in 0..N {
        left[n] ^= lanes[n].words[0];
    }
    for word in (1..17).step_by(2) {
        for n in 0..N {
            right[n] ^= substitute(&lanes[n].words, left[n]) ^ lanes[n].words[word];
        }
        for n in 0..N {
            left[n] ^= substitute(&lanes[n].words, right[n]) ^ lanes[n].words[word + 1];
        }
    }
    for n in 0..N {
        (left[n], right[n]) = (right[n] ^ lanes[n].words[17], left[n]);
    }
}

/// Blowfish's function F: one word of each S box. The compiler sees that no index can leave the array.
///
/// The bytes are shifted out: `to_be_bytes` makes the compiler swap them first, which costs a seventh of the speed
/// of a lone lane.
#[inline(always)]
fn substitute(words: &[u32; 1042], input: u32) -> u32 {
    let byte = |shift: u32| (input >> shift & 0xff) as usize;
    let [a, b, c, d] = [byte(24), byte(16), byte(8), byte(0)];
    (words[18 + a].wrapping_add(words[274 + b]) ^ words[530 + c]).wrapping_add(words[786 + d])
}
