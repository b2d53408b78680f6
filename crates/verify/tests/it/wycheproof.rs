//! The JWS vectors of Wycheproof (`tests/vectors/SOURCES.md`). Their keys are raw and their payloads are not claims, so
//! they test the form and the signature: a payload that is refused as such was rightly signed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatewright_verify::{Error, Key, Malformed, Verifier};
use serde_json::Value;

const VECTORS: &str = include_str!("../vectors/wycheproof/json_web_signature_test.json");

/// Marked valid, and refused by us on purpose.
const STRICTER: [(u64, &str); 5] = [
    (259, "an empty payload cannot hold claims"),
    (345, "a `kid` with a character outside A-Z a-z 0-9 . _ -"),
    (349, "a `kid` with a character outside A-Z a-z 0-9 . _ -"),
    (372, "a `?` in the base64url"),
    (373, "a `?` in the base64url"),
];

/// Signed with RS256 by a key for another algorithm: invalid for that key, but ours can only be one for RS256.
const SIGNED_WITH_RS256: [u64; 2] = [331, 332];

/// Marked invalid, and yet byte for byte the valid vector 357.
const SAME_AS_VALID: [u64; 2] = [367, 370];

// SEC-22 SEC-23 SEC-26
#[test]
fn the_vectors_of_our_algorithms_agree() {
    let mut accepted = 0;
    let mut refused = 0;
    for_each_vector(|jwk, vector| {
        let algorithm = jwk["alg"].as_str().unwrap_or_default();
        let id = vector["tcId"].as_u64().unwrap();
        if !["HS256", "ES256", "RS256"].contains(&algorithm) || SAME_AS_VALID.contains(&id) {
            return;
        }
        let valid = vector["result"] == "valid" && !STRICTER.iter().any(|(other, _)| *other == id);
        let error = refusal(jwk, vector);
        assert_eq!(rightly_signed(error), valid, "{vector} {error:?}");
        *(if valid { &mut accepted } else { &mut refused }) += 1;
    });
    assert_eq!((accepted, refused), (15, 295));
}

// SEC-22
#[test]
fn every_other_algorithm_is_refused() {
    let mut refused = 0;
    for_each_vector(|jwk, vector| {
        let algorithm = jwk["alg"].as_str().unwrap_or_default();
        let id = vector["tcId"].as_u64().unwrap();
        let other = ["RS384", "RS512", "PS256", "PS384", "PS512"].contains(&algorithm);
        if other && !SIGNED_WITH_RS256.contains(&id) {
            let error = refusal(jwk, vector);
            assert!(!rightly_signed(error), "{vector} {error:?}");
            refused += 1;
        }
    });
    assert_eq!(refused, 81);
}

fn for_each_vector(mut check: impl FnMut(&Value, &Value)) {
    let file: Value = serde_json::from_str(VECTORS).unwrap();
    for group in file["testGroups"].as_array().unwrap() {
        let jwk = group.get("public").unwrap_or(&group["private"]);
        for vector in group["tests"].as_array().unwrap() {
            check(jwk, vector);
        }
    }
}

fn refusal(jwk: &Value, vector: &Value) -> Error {
    let verifier = Verifier::new([key(jwk)]).unwrap();
    // A vector in the JSON serialisation is an object here; on the wire it is that object's text.
    let token = match &vector["jws"] {
        Value::String(token) => token.clone(),
        other => other.to_string(),
    };
    verifier.verify_any(&token, 0).unwrap_err()
}

fn rightly_signed(error: Error) -> bool {
    matches!(
        error,
        Error::Malformed(Malformed::PayloadJson)
            | Error::MissingClaim(_)
            | Error::InvalidClaim(_)
            | Error::NotYetValid
            | Error::Expired
    )
}

fn key(jwk: &Value) -> Key {
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let coordinate = |name: &str| <[u8; 32]>::try_from(bytes(name)).unwrap();
    let kid = jwk["kid"].as_str().filter(|kid| !kid.contains('@'));
    match jwk["kty"].as_str().unwrap() {
        "oct" => Key::hs256(kid, &bytes("k")),
        "EC" => Key::es256_public(kid, &coordinate("x"), &coordinate("y")),
        "RSA" => Key::rs256_public(kid, &bytes("n"), &bytes("e")),
        other => panic!("no key of type {other} is expected"),
    }
    .unwrap()
}
