//! Audit events (SEC-83): who did what from where, and how it ended. Never a password, token, secret or hash.

use aws_lc_rs::digest::{SHA256, digest};
use uuid::Uuid;

use super::Caller;

/// Whom an event is about.
pub(super) enum Subject<'a> {
    /// A known user.
    User(Uuid),
    /// An e-mail as it was sent, which may belong to nobody; only a digest of it is written.
    Email(&'a str),
}

/// Writes one event. `event` is a stable dotted word such as `login`, `result` is `success`, `failure` or `throttled`.
pub(super) fn record(
    caller: &Caller,
    event: &'static str,
    result: &'static str,
    subject: &Subject<'_>,
) {
    let client = caller.address;
    let request_id = caller.request_id.as_ref();
    match subject {
        Subject::User(id) => {
            tracing::info!(target: "audit", event, result, user_id = %id, %client, request_id);
        }
        Subject::Email(email) => {
            let email_digest = short_digest(&["audit", email]);
            tracing::info!(target: "audit", event, result, email_digest, %client, request_id);
        }
    }
}

/// 128 bits of SHA-256 over the parts, each with its length before it, in hexadecimal.
pub(super) fn short_digest(parts: &[&str]) -> String {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    let full = digest(&SHA256, &bytes);
    full.as_ref()[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
