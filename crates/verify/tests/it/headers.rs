//! Algorithms, keys and header members, under the right HMAC where there can be one.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatewright_verify::{Error, Key, KeyError, Malformed, Token, Verifier};

use crate::support::{
    HEADER, NOW, SECRET, claims, refused_for, signed, verifier, verify, with_header,
};

// SEC-28
#[test]
fn a_token_of_ours_is_accepted_and_has_the_promised_header() {
    let key = Key::hs256(None, SECRET).unwrap();
    let token = key.sign(&claims()).unwrap();
    assert_eq!(verify(&token), Ok(claims()));
    assert_eq!(verifier().verify_any(&token, NOW), Ok(Token::Own(claims())));
    let json = |part: &str| -> String {
        String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(json(parts[0]), HEADER);
    assert_eq!(
        json(parts[1]),
        r#"{"sub":"01890000-0000-7000-8000-000000000001","email":"ann@example.org","iat":1799999940,"exp":1800604740,"jti":"a-token","sid":"01890000-0000-7000-8000-000000000002"}"#
    );
    assert_eq!(token, signed(HEADER, json(parts[1])));

    let named = Key::hs256(Some("2"), SECRET).unwrap();
    let token = named.sign(&claims()).unwrap();
    assert_eq!(
        json(token.split('.').next().unwrap()),
        r#"{"alg":"HS256","typ":"JWT","kid":"2"}"#
    );
}

// SEC-22
#[test]
fn only_the_exact_name_of_a_configured_algorithm_is_accepted() {
    for algorithm in [
        "none",
        "None",
        "NONE",
        "nOnE",
        "",
        "hs256",
        "Hs256",
        "HS256 ",
        "HS384",
        "HS512",
        "RS256",
        "ES256",
        "EdDSA",
        "Ed25519",
        "PS256",
        "A128KW",
        "dir",
        "HS256\\u0000",
    ] {
        let token = with_header(&format!(r#"{{"alg":"{algorithm}"}}"#));
        refused_for(&token, Error::Algorithm);
        let (unsigned, _) = token.rsplit_once('.').unwrap();
        refused_for(&format!("{unsigned}."), Malformed::Parts);
        refused_for(unsigned, Malformed::Parts);
    }
    for header in [
        "{}",
        r#"{"alg":null}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":256}"#,
    ] {
        refused_for(&with_header(header), Error::Header("alg"));
    }
}

// SEC-23
#[test]
fn the_bytes_of_a_public_key_are_never_an_hmac_secret() {
    let modulus = [0xff; 256];
    let coordinates =
        |text: &str| -> [u8; 32] { URL_SAFE_NO_PAD.decode(text).unwrap().try_into().unwrap() };
    let x = coordinates("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU");
    let y = coordinates("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    let ed = coordinates("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    let point = [&[4], x.as_slice(), &y].concat();
    for (public, bytes) in [
        (
            Key::rs256_public(Some("k"), &modulus, &[1, 0, 1]),
            &modulus[..],
        ),
        (Key::es256_public(Some("k"), &x, &y), &point),
        (Key::ed25519_public(Some("k"), &ed), &ed),
    ] {
        let verifier = Verifier::new([public.unwrap()]).unwrap();
        for kid in [None, Some("k")] {
            let attacker = Key::hs256(kid, bytes).unwrap();
            let token = attacker.sign(&claims()).unwrap();
            assert_eq!(verifier.verify(&token, NOW), Err(Error::Algorithm));
        }
    }
}

// SEC-32
#[test]
fn a_token_under_a_public_key_is_accepted_by_both_names_of_ed25519() {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let x = pair.public_key().as_ref().try_into().unwrap();
    let verifier = Verifier::new([Key::ed25519_public(None, x).unwrap()]).unwrap();
    for (algorithm, result) in [
        ("EdDSA", Ok(claims())),
        ("Ed25519", Ok(claims())),
        ("eddsa", Err(Error::Algorithm)),
        ("HS256", Err(Error::Algorithm)),
    ] {
        let token = with_header(&format!(r#"{{"alg":"{algorithm}"}}"#));
        let (message, _) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.encode(pair.sign(message.as_bytes()));
        let token = format!("{message}.{signature}");
        assert_eq!(verifier.verify(&token, NOW), result, "{algorithm}");
    }
}

// SEC-24
#[test]
fn a_key_is_found_by_its_name_and_nothing_else() {
    let other_secret = b"another secret of at least 32 bytes!";
    let old = Key::hs256(Some("1"), SECRET).unwrap();
    let new = Key::hs256(Some("2"), other_secret).unwrap();
    let nameless = Key::hs256(None, SECRET).unwrap();
    let stranger = Key::hs256(Some("3"), SECRET).unwrap();
    let both = Verifier::new([new.clone(), old.clone()]).unwrap();
    let check = |verifier: &Verifier, key: &Key| {
        let token = key.sign(&claims()).unwrap();
        verifier.verify(&token, NOW).map(drop)
    };

    for key in [&old, &new, &nameless] {
        assert_eq!(check(&both, key), Ok(()), "{key:?}");
    }
    assert_eq!(check(&both, &stranger), Err(Error::UnknownKey));
    let mixed = Key::hs256(Some("2"), SECRET).unwrap();
    assert_eq!(
        check(&both, &mixed),
        Err(Error::Signature),
        "another key's name"
    );
    assert_eq!(
        check(&verifier(), &old),
        Err(Error::UnknownKey),
        "no fallback to the key without a name"
    );

    for kid in ["", "../../dev/null", "1' or '1'='1", "1\\u0000", " 1", "*"] {
        let token = with_header(&format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#));
        assert_eq!(both.verify(&token, NOW), Err(Error::UnknownKey), "{kid}");
        refused_for(&token, Error::UnknownKey);
    }
    for kid in ["null", "1", "[\"1\"]", "{}"] {
        let token = with_header(&format!(r#"{{"alg":"HS256","kid":{kid}}}"#));
        assert_eq!(both.verify(&token, NOW), Err(Error::Header("kid")), "{kid}");
    }
}

// SEC-24
#[test]
fn a_set_of_keys_is_neither_empty_nor_ambiguous() {
    let key = |kid| Key::hs256(kid, SECRET).unwrap();
    assert_eq!(Verifier::new([]).err(), Some(KeyError::NoKeys));
    assert_eq!(
        Verifier::new([key(Some("1")), key(None), key(Some("1"))]).err(),
        Some(KeyError::DuplicateKid)
    );
    assert!(Verifier::new([key(None), key(Some("1")), key(None)]).is_ok());
}

// SEC-24 SEC-25
#[test]
fn headers_that_change_the_rules_are_refused() {
    for (name, values) in [
        ("crit", &["[]", r#"["exp"]"#, r#"["b64"]"#, "null"][..]),
        ("b64", &["false", "true", "null"]),
        ("zip", &[r#""DEF""#, "null"]),
        ("jwk", &[r#"{"kty":"oct","k":"AAAA"}"#, "null"]),
        ("jku", &[r#""https://example.org/keys""#]),
        ("x5u", &[r#""https://example.org/chain""#]),
        ("x5c", &[r#"["MIIB"]"#]),
        (
            "typ",
            &[
                r#""at+jwt""#,
                r#""application/jwt""#,
                r#""""#,
                "null",
                "1",
                r#"["JWT"]"#,
            ],
        ),
    ] {
        for value in values {
            let token = with_header(&format!(r#"{{"alg":"HS256","{name}":{value}}}"#));
            refused_for(&token, Error::Header(name));
        }
    }
    for header in [
        r#"{"alg":"HS256"}"#,
        r#"{"typ":"jwt","alg":"HS256"}"#,
        r#"{"alg":"HS256","unknown":{"a":[1,2.5,null,true,"\u00e9"]}}"#,
    ] {
        assert_eq!(verify(&with_header(header)), Ok(claims()), "{header}");
    }
}
