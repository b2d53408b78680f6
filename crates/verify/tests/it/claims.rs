//! Rightly signed tokens whose claims are wrong, late or foreign.

use gatewright_verify::{Claims, Error, ForeignClaims, LATEST_DATE, Token};
use serde_json::json;

use crate::support::{
    HEADER, NOW, claims, payload_with, refused_for, signed, verifier, verify, with_header,
};

// SEC-27
#[test]
fn a_claim_of_the_wrong_type_is_refused_and_never_absent() {
    let no_text = || {
        [
            json!(null),
            json!(1),
            json!(true),
            json!([]),
            json!({}),
            json!(["a"]),
        ]
    };
    let no_date = || {
        [
            json!(null),
            json!("1800604740"),
            json!(true),
            json!([1_800_604_740]),
            json!({}),
            json!(1_800_604_740.0),
            json!(1_800_604_740.5),
            json!(-1),
            json!(LATEST_DATE + 1),
            json!(i64::MIN),
            json!(u64::MAX),
            json!(1e300),
        ]
    };
    let no_uuid = || {
        [
            json!(""),
            json!("1"),
            json!("01890000000070008000000000000001"),
            json!("{01890000-0000-7000-8000-000000000001}"),
            json!("urn:uuid:01890000-0000-7000-8000-000000000001"),
            json!("01890000-0000-7000-8000-00000000000g"),
            json!(" 1890000-0000-7000-8000-000000000001"),
            json!("01890000-0000-7000-8000-000000000001\0"),
        ]
    };
    for name in ["sub", "sid"] {
        for value in no_text().into_iter().chain(no_uuid()) {
            let token = signed(HEADER, payload_with(name, Some(value)));
            refused_for(&token, Error::InvalidClaim(name));
        }
    }
    for name in ["email", "jti"] {
        for value in no_text() {
            let token = signed(HEADER, payload_with(name, Some(value)));
            refused_for(&token, Error::InvalidClaim(name));
        }
    }
    for name in ["iat", "exp", "nbf"] {
        for value in no_date() {
            let token = signed(HEADER, payload_with(name, Some(value)));
            refused_for(&token, Error::InvalidClaim(name));
        }
    }
    let aud = signed(HEADER, payload_with("aud", Some(json!("somebody else"))));
    refused_for(&aud, Error::InvalidClaim("aud"));
}

// SEC-27
#[test]
fn every_claim_must_be_there() {
    for name in ["sub", "email", "iat", "exp", "jti"] {
        let token = signed(HEADER, payload_with(name, None));
        refused_for(&token, Error::MissingClaim(name));
    }
    let without_sid = signed(HEADER, payload_with("sid", None));
    assert_eq!(verify(&without_sid), Err(Error::MissingClaim("sid")));
}

// SEC-27
#[test]
fn a_token_ends_at_the_very_second() {
    let token = with_header(HEADER);
    let verifier = verifier();
    let exp = claims().exp;
    assert_eq!(verifier.verify(&token, exp - 1), Ok(claims()));
    for now in [exp, exp + 1, i64::MAX] {
        assert_eq!(verifier.verify(&token, now), Err(Error::Expired));
        assert_eq!(verifier.verify_any(&token, now), Err(Error::Expired));
    }
    assert_eq!(verifier.verify(&token, i64::MIN), Ok(claims()));

    let zero = signed(HEADER, payload_with("exp", Some(json!(0))));
    assert_eq!(verifier.verify(&zero, 0), Err(Error::Expired));
    let last = signed(HEADER, payload_with("exp", Some(json!(LATEST_DATE))));
    assert!(verifier.verify(&last, LATEST_DATE - 1).is_ok());
}

// REL-28
#[test]
fn a_token_of_a_clock_that_is_ahead_is_accepted() {
    let token = signed(HEADER, payload_with("iat", Some(json!(NOW + 30))));
    assert_eq!(verify(&token).map(|claims| claims.iat), Ok(NOW + 30));
}

// SEC-27
#[test]
fn nbf_counts_when_it_is_there() {
    let token = |nbf: i64| signed(HEADER, payload_with("nbf", Some(json!(nbf))));
    assert_eq!(verify(&token(NOW)), Ok(claims()));
    refused_for(&token(NOW + 1), Error::NotYetValid);
}

#[test]
fn a_foreign_token_needs_a_user_and_an_end() {
    let least = r#"{"sub":"01890000-0000-7000-8000-000000000001","exp":1800000001}"#;
    let token = signed(HEADER, least);
    let mut expected = ForeignClaims {
        sub: claims().sub,
        email: None,
        iat: None,
        exp: NOW + 1,
        jti: None,
    };
    let any = |token: &str, now| verifier().verify_any(token, now);
    assert_eq!(any(&token, NOW), Ok(Token::Foreign(expected.clone())));
    assert_eq!(any(&token, NOW + 1), Err(Error::Expired));
    // Not ours, so whether it has expired is beside the point.
    assert_eq!(
        verifier().verify(&token, NOW + 1),
        Err(Error::MissingClaim("sid"))
    );

    let Claims {
        email,
        iat,
        exp,
        jti,
        ..
    } = claims();
    expected = ForeignClaims {
        email: Some(email),
        iat: Some(iat),
        exp,
        jti: Some(jti),
        ..expected
    };
    let full = signed(HEADER, payload_with("sid", None));
    assert_eq!(any(&full, NOW), Ok(Token::Foreign(expected)));
}

// SEC-84
#[test]
fn a_refusal_quotes_nothing_of_the_token() {
    for token in [
        with_header(r#"{"alg":"TELLTALE"}"#),
        with_header(r#"{"alg":"HS256","kid":"TELLTALE"}"#),
        with_header(r#"{"alg":"HS256","typ":"TELLTALE"}"#),
        signed(HEADER, r#"{"TELLTALE"}"#),
        signed(HEADER, r#"{"sub":"TELLTALE"}"#),
        signed(HEADER, r#"{"exp":"TELLTALE"}"#),
        "TELLTALE".to_owned(),
    ] {
        let error = verify(&token).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("TELLTALE"), "{shown}");
        assert_eq!(error.detail(), "Invalid token");
    }
}
