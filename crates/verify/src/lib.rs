#![cfg_attr(feature = "axum", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "axum"),
    doc = "Checks Gatewright's access tokens, strictly. Start at [`Verifier`]."
)]

#[cfg(feature = "axum")]
pub mod axum;
mod bearer;
mod claims;
mod error;
mod keys;
pub mod strict_json;
mod verifier;

pub use bearer::bearer;
pub use claims::{Claims, ForeignClaims, LATEST_DATE, Token};
pub use error::{Error, Malformed};
pub use keys::{Algorithm, Key, KeyError};
pub use verifier::{TOKEN_BYTES, Verifier};
