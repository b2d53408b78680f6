//! Tokens that break the form of a compact JWS, with the right HMAC.

use Malformed::{
    HeaderEncoding, HeaderJson, Parts, PayloadEncoding, PayloadJson, SignatureEncoding,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use gatewright_verify::{Error, Malformed, TOKEN_BYTES};
use serde_json::json;

use crate::support::{
    HEADER, claims, payload, payload_with, refused_for, sealed, signed, verify, with_header,
};

// SEC-26
#[test]
fn other_forms_than_the_compact_one_are_refused() {
    let token = with_header(HEADER);
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        unreachable!("a token has three parts")
    };
    let flattened = json!({"protected": header, "payload": payload, "signature": signature});
    let general =
        json!({"payload": payload, "signatures": [{"protected": header, "signature": signature}]});
    for text in [
        "",
        ".",
        "..",
        "...",
        header,
        &format!("{header}.{payload}"),
        &format!("{header}.{payload}."),
        &format!(".{payload}.{signature}"),
        &format!("{header}..{signature}"),
        &format!("{token}."),
        &format!("{token}.{signature}"),
        &format!("{header}.AAAA.AAAA.{payload}.{signature}"),
        &flattened.to_string(),
        &general.to_string(),
    ] {
        refused_for(text, Parts);
    }
}

// SEC-26
#[test]
fn other_than_canonical_base64url_is_refused() {
    let token = with_header(HEADER);
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    for junk in [
        "=", "==", " ", "\n", "\t", "\0", "+", "/", "?", "%3D", "é", "\u{2024}",
    ] {
        refused_for(
            &sealed(&format!("{header}{junk}.{payload}")),
            HeaderEncoding,
        );
        refused_for(
            &sealed(&format!("{junk}{header}.{payload}")),
            HeaderEncoding,
        );
        refused_for(
            &sealed(&format!("{header}.{payload}{junk}")),
            PayloadEncoding,
        );
        refused_for(&format!("{token}{junk}"), SignatureEncoding);
    }

    let tag = URL_SAFE_NO_PAD.decode(signature).unwrap();
    refused_for(
        &format!("{message}.{}", URL_SAFE.encode(&tag)),
        SignatureEncoding,
    );
    refused_for(
        &format!("{message}.{}", STANDARD.encode(&tag)),
        SignatureEncoding,
    );
    // 43 characters hold 258 bits: the last two must be zero.
    let last = signature.chars().last().unwrap();
    let sloppy = ALPHABET[ALPHABET.iter().position(|c| *c == last).unwrap() + 1];
    refused_for(
        &format!("{}{sloppy}", &token[..token.len() - 1]),
        SignatureEncoding,
    );
    refused_for(&token[..token.len() - 1], SignatureEncoding);
    refused_for(&token[..token.len() - 3], Error::Signature);
    refused_for(
        &format!(
            "{message}.{}",
            URL_SAFE_NO_PAD.encode([&tag[..], &[0]].concat())
        ),
        Error::Signature,
    );
}

const ALPHABET: [char; 64] = {
    let bytes = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut characters = ['A'; 64];
    let mut index = 0;
    while index < 64 {
        characters[index] = bytes[index] as char;
        index += 1;
    }
    characters
};

// SEC-26
#[test]
fn header_and_payload_are_strict_json_objects() {
    for text in [
        "",
        "null",
        "[]",
        "\"alg\"",
        r#"{"alg":"HS256""#,
        r#"{"alg":"HS256"}{}"#,
        "\u{feff}{\"alg\":\"HS256\"}",
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":"none","\u0061lg":"HS256"}"#,
        r#"{"alg":"HS256","x":{"y":1,"y":1}}"#,
        r#"{"alg":"HS256","x":"\ud800"}"#,
        &format!(
            r#"{{"alg":"HS256","x":{}{}}}"#,
            "[".repeat(200),
            "]".repeat(200)
        ),
    ] {
        let token = if text.is_empty() {
            sealed(".e30")
        } else {
            with_header(text)
        };
        refused_for(&token, if text.is_empty() { Parts } else { HeaderJson });
    }
    refused_for(
        &signed(b"{\"alg\":\"HS256\",\"x\":\"\xff\"}", "{}"),
        HeaderJson,
    );

    let payload = payload().to_string();
    let open = &payload[..payload.len() - 1];
    for text in [
        "null".to_owned(),
        "[]".to_owned(),
        "claims".to_owned(),
        open.to_owned(),
        format!("{payload}x"),
        format!("[{payload}]"),
        format!(r#"{open},"sub":"01890000-0000-7000-8000-000000000009"}}"#),
        format!(r#"{open},"\u0065xp":253402300799}}"#),
        format!(r#"{open},"x":[{{"y":1,"y":1}}]}}"#),
        format!(r#"{open},"x":1,"x":1}}"#),
        format!(r#"{open},"x":"\udc00"}}"#),
        format!(r#"{open},"x":{}{}}}"#, "[".repeat(200), "]".repeat(200)),
    ] {
        refused_for(&signed(HEADER, text), PayloadJson);
    }
    let latin = [open.as_bytes(), b",\"x\":\"\xe9\"}"].concat();
    refused_for(&signed(HEADER, latin), PayloadJson);
}

// SEC-26
#[test]
fn a_token_of_8192_bytes_is_read_and_a_longer_one_is_not() {
    let token_of = |length: usize| {
        let fixed = signed(HEADER, payload_with("x", Some(json!("")))).len();
        let guess = (length - fixed) * 3 / 4;
        (guess - 4..guess + 8)
            .map(|padding| signed(HEADER, payload_with("x", Some(json!("x".repeat(padding))))))
            .find(|token| token.len() == length)
    };
    let longest = token_of(TOKEN_BYTES).unwrap();
    assert_eq!(verify(&longest), Ok(claims()));
    refused_for(&token_of(TOKEN_BYTES + 1).unwrap(), Error::TooLong);
    refused_for(&"A".repeat(10_000_000), Error::TooLong);
}
