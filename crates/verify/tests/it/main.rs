//! The tests of the public interface, in one binary.

#![expect(
    clippy::unwrap_used,
    reason = "what a test takes for granted ends it when it fails"
)]

#[cfg(feature = "axum")]
mod axum;
mod claims;
mod form;
mod headers;
mod interop;
mod properties;
mod rfc7515;
mod strict_json;
mod support;
mod wycheproof;
