//! What holds for every token and every string.

use gatewright_verify::{Claims, Error, Key, LATEST_DATE, Verifier, bearer};
use proptest::prelude::*;
use uuid::Uuid;

use crate::support::{NOW, SECRET, claims, sealed, signed, verifier};

const HEADER: &str = r#"{"alg":"HS256"}"#;

prop_compose! {
    fn any_claims()(
        sub in any::<u128>(),
        email in ".{0,200}",
        iat in 0..=LATEST_DATE,
        exp in 1..=LATEST_DATE,
        jti in ".{0,100}",
        sid in any::<u128>(),
    ) -> Claims {
        Claims { sub: Uuid::from_u128(sub), email, iat, exp, jti, sid: Uuid::from_u128(sid) }
    }
}

proptest! {
    #[test]
    fn what_is_signed_is_read_back_until_it_ends(
        claims in any_claims(),
        secret in prop::collection::vec(any::<u8>(), 32..100),
        kid in prop::option::of("[A-Za-z0-9._-]{1,64}"),
    ) {
        let key = Key::hs256(kid.as_deref(), &secret).unwrap();
        let token = key.sign(&claims).unwrap();
        let verifier = Verifier::new([key]).unwrap();
        let exp = claims.exp;
        prop_assert_eq!(verifier.verify(&token, exp - 1), Ok(claims));
        prop_assert_eq!(verifier.verify(&token, exp), Err(Error::Expired));
    }

    #[test]
    fn another_secret_is_refused(position in 0..SECRET.len(), bit in 0..8_u8) {
        let mut secret = SECRET.to_vec();
        secret[position] ^= 1 << bit;
        let token = Key::hs256(None, &secret).unwrap().sign(&claims()).unwrap();
        prop_assert_eq!(verifier().verify(&token, NOW), Err(Error::Signature));
    }

    #[test]
    fn a_token_with_one_character_changed_is_refused(
        position in any::<prop::sample::Index>(),
        character in prop_oneof!["[A-Za-z0-9_.-]", any::<char>().prop_map(String::from)],
    ) {
        let token = Key::hs256(None, SECRET).unwrap().sign(&claims()).unwrap();
        let position = position.index(token.len());
        prop_assume!(token[position..=position] != character);
        let changed = format!("{}{character}{}", &token[..position], &token[position + 1..]);
        prop_assert!(verifier().verify_any(&changed, NOW).is_err());
        let shorter = format!("{}{}", &token[..position], &token[position + 1..]);
        prop_assert!(verifier().verify_any(&shorter, NOW).is_err());
    }

    #[test]
    fn no_string_is_accepted_and_none_panics(
        text in ".{0,300}",
        parts in prop::collection::vec("[A-Za-z0-9_-]{0,40}", 0..6),
        now in any::<i64>(),
    ) {
        prop_assert!(verifier().verify_any(&text, now).is_err());
        prop_assert!(verifier().verify_any(&parts.join("."), now).is_err());
        prop_assert!(verifier().verify_any(&sealed(&parts.join(".")), now).is_err());
    }

    #[test]
    fn no_bytes_behind_a_right_signature_panic(
        header in prop::collection::vec(any::<u8>(), 0..60),
        payload in prop::collection::vec(any::<u8>(), 0..60),
        text in "[\\{\\}\\[\\]\",:0-9a-z\\\\. -]{0,60}",
    ) {
        for token in [
            signed(header, "{}"),
            signed(HEADER, payload),
            signed(&text, &text),
            signed(HEADER, &text),
        ] {
            prop_assert!(verifier().verify_any(&token, NOW).is_err());
        }
    }

    #[test]
    fn no_authorization_header_panics(values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..3)) {
        if let Ok(token) = bearer(values.iter().map(Vec::as_slice)) {
            prop_assert_eq!(values.len(), 1);
            prop_assert!(!token.is_empty() && !token.contains(' '));
        }
    }
}

#[test]
fn a_token_with_one_bit_changed_is_refused() {
    let token = Key::hs256(None, SECRET).unwrap().sign(&claims()).unwrap();
    let verifier = verifier();
    for index in 0..token.len() * 8 {
        let mut bytes = token.clone().into_bytes();
        bytes[index / 8] ^= 1 << (index % 8);
        if let Ok(changed) = String::from_utf8(bytes) {
            assert!(verifier.verify_any(&changed, NOW).is_err(), "bit {index}");
        }
    }
}
