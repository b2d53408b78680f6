//! Request bodies: never panics, and what is accepted has no member twice and means the same when written again (SEC-67,
//! REL-40).

#![no_main]

use gatewright_verify::strict_json;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(object) = strict_json::object(data) {
        let written = serde_json::to_vec(&object).expect("a map is JSON");
        let again = strict_json::object(&written).expect("what we write is strict");
        assert_eq!(object, again);
    }
});
