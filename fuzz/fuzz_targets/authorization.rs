//! The Authorization header: never panics, and what it yields is a part of what was sent (SEC-73, REL-40).

#![no_main]

use gatewright_verify::bearer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    let count = lines.len();
    if let Ok(token) = bearer(lines) {
        assert_eq!(count, 1, "two headers, one token");
        assert!(!token.is_empty() && token.len() < data.len());
    }
});
