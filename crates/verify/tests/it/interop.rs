//! A second opinion: the `jsonwebtoken` library reads our tokens, and we read its.

use std::collections::HashMap;

use gatewright_verify::{Key, Token, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde_json::{Value, json};

use crate::support::{NOW, SECRET, claims, verifier};

// SEC-28
#[test]
fn jsonwebtoken_reads_our_tokens() {
    let token = Key::hs256(Some("7"), SECRET)
        .unwrap()
        .sign(&claims())
        .unwrap();
    let mut validation = Validation::new(Algorithm::HS256);
    validation.validate_exp = false;
    let decoded =
        decode::<HashMap<String, Value>>(&token, &DecodingKey::from_secret(SECRET), &validation)
            .unwrap();

    assert_eq!(decoded.header.alg, Algorithm::HS256);
    assert_eq!(decoded.header.typ.as_deref(), Some("JWT"));
    assert_eq!(decoded.header.kid.as_deref(), Some("7"));
    assert_eq!(
        json!(decoded.claims),
        serde_json::to_value(claims()).unwrap()
    );
}

#[test]
fn we_read_the_tokens_of_jsonwebtoken() {
    let token = encode(
        &Header::default(),
        &claims(),
        &EncodingKey::from_secret(SECRET),
    )
    .unwrap();
    assert_eq!(verifier().verify(&token, NOW), Ok(claims()));

    let named = Header {
        kid: Some("7".to_owned()),
        ..Header::default()
    };
    let token = encode(&named, &claims(), &EncodingKey::from_secret(SECRET)).unwrap();
    let verifier = Verifier::new([Key::hs256(Some("7"), SECRET).unwrap()]).unwrap();
    assert_eq!(verifier.verify_any(&token, NOW), Ok(Token::Own(claims())));
}
