//! Canonical e-mail: never panics; a canonical form is canonical, short enough, and has one `@` (SEC-53, SEC-54, REL-40).

#![no_main]

use gatewright::auth::Email;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(email) = Email::parse(text) {
        let canonical = email.as_str();
        assert!(canonical.len() <= 254);
        assert_eq!(canonical.matches('@').count(), 1);
        assert!(!canonical.contains(|character: char| character.is_control() || character == ' '));
        assert_eq!(Email::parse(canonical).as_ref(), Ok(&email));
    }
});
