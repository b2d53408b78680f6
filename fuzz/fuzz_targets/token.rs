//! The token parser: never panics, and accepts nothing that is not signed with the secret (SEC-26, REL-40).

#![no_main]

use std::sync::LazyLock;

use gatewright_verify::{Key, Verifier};
use libfuzzer_sys::fuzz_target;

const SECRET: &[u8] = b"fuzz-secret-0123456789abcdef-0123456789";

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let key = Key::hs256(None, SECRET).expect("a long secret");
    Verifier::new([key]).expect("one key")
});

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else { return };
    let _ = VERIFIER.verify(text, 1_795_171_320);
    if let Ok(token) = VERIFIER.verify_any(text, 1_795_171_320) {
        panic!("accepted a token that nobody signed: {token:?}");
    }
});
