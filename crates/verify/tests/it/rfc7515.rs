//! The published examples: RFC 7515 appendix A.1 to A.3 and RFC 8037 appendix A.4.
//!
//! None of their payloads holds our claims, so a right signature shows as a refusal of the payload.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatewright_verify::{Algorithm, Error, Key, Malformed, Verifier};

const PAYLOAD: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

fn decoded(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

fn coordinate(text: &str) -> [u8; 32] {
    decoded(text).try_into().unwrap()
}

fn refusal(key: &Key, header: &str, payload: &str, signature: &str) -> Error {
    let verifier = Verifier::new([key.clone()]).unwrap();
    let token = format!("{header}.{payload}.{signature}");
    verifier.verify_any(&token, 0).unwrap_err()
}

/// The example's signature is right, and is not once its first character is another.
fn check(key: &Key, header: &str, payload: &str, signature: &str, unlike_our_claims: Error) {
    assert_eq!(refusal(key, header, payload, signature), unlike_our_claims);
    let changed = format!("A{}", &signature[1..]);
    assert_eq!(refusal(key, header, payload, &changed), Error::Signature);
}

#[test]
fn a1_hs256() {
    let secret =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let key = Key::hs256(None, &decoded(secret)).unwrap();
    let header = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9";
    let signature = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    check(&key, header, PAYLOAD, signature, Error::MissingClaim("sub"));
}

#[test]
fn a2_rs256() {
    let n = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    let key = Key::rs256_public(None, &decoded(n), &decoded("AQAB")).unwrap();
    let signature = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    check(
        &key,
        "eyJhbGciOiJSUzI1NiJ9",
        PAYLOAD,
        signature,
        Error::MissingClaim("sub"),
    );
}

#[test]
fn a3_es256() {
    let x = coordinate("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU");
    let y = coordinate("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    let key = Key::es256_public(None, &x, &y).unwrap();
    let signature =
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    check(
        &key,
        "eyJhbGciOiJFUzI1NiJ9",
        PAYLOAD,
        signature,
        Error::MissingClaim("sub"),
    );
}

#[test]
fn rfc8037_a4_eddsa() {
    let x = coordinate("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    let key = Key::ed25519_public(None, &x).unwrap();
    assert_eq!(key.algorithm(), Algorithm::EdDsa);
    let signature =
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    check(
        &key,
        "eyJhbGciOiJFZERTQSJ9",
        "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
        signature,
        Malformed::PayloadJson.into(),
    );
}

// SEC-22
#[test]
fn none_of_appendix_a5_is_refused() {
    let key = Key::hs256(None, &[7; 32]).unwrap();
    assert_eq!(
        refusal(&key, "eyJhbGciOiJub25lIn0", PAYLOAD, ""),
        Error::Malformed(Malformed::Parts)
    );
    assert_eq!(
        refusal(&key, "eyJhbGciOiJub25lIn0", PAYLOAD, "AA"),
        Error::Algorithm
    );
}
