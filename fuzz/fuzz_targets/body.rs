//! Request bodies: never panics, and what is accepted has no member twice and is accepted again when written anew (SEC-67,
//! REL-40).

#![no_main]

use gatewright_verify::strict_json;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(object) = strict_json::object(data) {
        let written = serde_json::to_vec(&object).expect("a map is JSON");
        let again = strict_json::object(&written).expect("what we write is strict");
        // Not the values: a number with many digits may move by its last bit.
        assert!(object.keys().eq(again.keys()));
    }
});
