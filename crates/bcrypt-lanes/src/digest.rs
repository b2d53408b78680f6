//! What bcrypt computes.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// The 23 bytes of a bcrypt digest; like every implementation, this one drops the 24th.
///
/// Comparison takes the same time whatever the bytes are. Wipes itself when dropped.
#[derive(Clone)]
pub struct Digest([u8; 23]);

impl Digest {
    /// The bytes. Compare digests, not bytes: `==` on arrays tells by its time how many agree.
    pub fn as_bytes(&self) -> &[u8; 23] {
        &self.0
    }
}

impl From<[u8; 23]> for Digest {
    fn from(bytes: [u8; 23]) -> Digest {
        Digest(bytes)
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Digest) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Digest {}

impl Drop for Digest {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Digest").finish_non_exhaustive()
    }
}
