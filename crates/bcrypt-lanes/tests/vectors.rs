//! Hashes that other implementations computed.

use bcrypt_lanes::{Error, Hash, verify};

/// Passwords and hashes; the implementations that cut a password off after 72 bytes were given longer ones.
const VECTORS: &[(&[u8], &str)] = &[
    // Openwall crypt_blowfish, wrapper.c
    (
        b"U*U",
        "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
    ),
    (
        b"U*U*",
        "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK",
    ),
    (
        b"U*U*U",
        "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a",
    ),
    (
        b"",
        "$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy",
    ),
    (
        b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
        "$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui",
    ),
    (
        b"\xa3",
        "$2a$05$/OK.fbVrR/bpIqNJ5ianF.Sa7shbm4.OzKpvFnX1pQLmQW96oUlCq",
    ),
    (
        b"\xa3",
        "$2b$05$/OK.fbVrR/bpIqNJ5ianF.Sa7shbm4.OzKpvFnX1pQLmQW96oUlCq",
    ),
    (
        b"\xa3",
        "$2y$05$/OK.fbVrR/bpIqNJ5ianF.Sa7shbm4.OzKpvFnX1pQLmQW96oUlCq",
    ),
    (
        b"\xff\xa3345",
        "$2a$05$/OK.fbVrR/bpIqNJ5ianF.nRht2l/HRhr6zmCp9vYUvvsqynflf9e",
    ),
    (
        b"\xa3ab",
        "$2a$05$/OK.fbVrR/bpIqNJ5ianF.6IflQkJytoRVc1yuaNtHfiuq.FRlSIS",
    ),
    (
        b"\xff\xff\xa3",
        "$2y$05$/OK.fbVrR/bpIqNJ5ianF.CE5elHaaO4EbggVDjb8P19RukzXSM3e",
    ),
    (
        b"\xff\xff\xa3",
        "$2b$05$/OK.fbVrR/bpIqNJ5ianF.CE5elHaaO4EbggVDjb8P19RukzXSM3e",
    ),
    (
        &[0xaa; 72],
        "$2a$05$/OK.fbVrR/bpIqNJ5ianF.swQOIzjOiJ9GHEPuhEkvqrUyvWhEMx6",
    ),
    // OpenBSD, through bcrypt_elixir: 72 bytes leave no room for the NUL
    (
        &[b'0'; 72],
        "$2a$05$CCCCCCCCCCCCCCCCCCCCC.6.O1dLNbjod2uo0DVcW.jHucKbPDdHS",
    ),
    // PHP, password_hash()
    (
        b"rasmuslerdorf",
        "$2y$07$usesomesillystringfore2uDLvp1Ii2e./U9C8sBjqp8I90dH6hi",
    ),
    // py-bcrypt and jBCrypt
    (
        b"",
        "$2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s.",
    ),
    (
        b"a",
        "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe",
    ),
    (
        b"abc",
        "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i",
    ),
    (
        b"~!@#$%^&*()      ~!@#$%^&*()PNBFRD",
        "$2a$06$fPIsBO8qRqkjj273rfaOI.HtSV9jLDpTbZn782DC6/t7qT67P6FfO",
    ),
    // Python bcrypt
    (
        b"correctbatteryhorsestapler",
        "$2b$04$EGdrhbKUv8Oc9vGiXX0HQOxSg445d458Muh7DAHskb6QbtCvdxcie",
    ),
    (
        &[b'x'; 72],
        "$2a$05$......................YgIDy4hFBdVlc/6LHnD9mX488r9cLd2",
    ),
    // Node bcrypt
    (
        b"correctbatteryhorsestapler",
        "$2a$04$n4Uy0eSnMfvnESYL.bLwuuj0U/ETSsoTpRT9GVk5bektyVVa5xnIi",
    ),
    // NUL in the middle, from the tests of the bcrypt crate
    (
        &[
            29, 225, 195, 167, 223, 236, 85, 195, 114, 227, 7, 0, 209, 239, 189, 24, 51, 105, 124,
            168, 151, 75, 144, 64, 198, 197, 196, 4, 241, 97, 110, 135,
        ],
        "$2a$04$tjARW6ZON3PhrAIRW2LG/u9aDw5eFdstYLR8nFCNaOQmsH9XD23w.",
    ),
];

#[test]
fn other_implementations_hashes_are_verified() {
    for (password, text) in VECTORS {
        let hash: Hash = text.parse().unwrap();
        assert_eq!(verify(password, &hash), Ok(true), "{text}");
        assert_eq!(hash.to_string()[4..], text[4..]);
    }
}

#[test]
fn another_password_is_not() {
    for (password, text) in VECTORS {
        let hash: Hash = text.parse().unwrap();
        let mut other = password.to_vec();
        match other.last_mut() {
            Some(last) => *last ^= 1,
            None => other.push(b' '),
        }
        assert_eq!(verify(&other, &hash), Ok(false), "{text}");
    }
}

#[test]
fn a_password_that_others_cut_off_is_an_error() {
    let hash: Hash = "$2a$05$......................YgIDy4hFBdVlc/6LHnD9mX488r9cLd2"
        .parse()
        .unwrap();
    assert_eq!(
        verify(&[b'x'; 100], &hash),
        Err(Error::PasswordTooLong(100))
    );
}

/// crypt_blowfish since 1.1 alters some `$2a$` hashes, so that they differ from the ones its earlier fault produced.
#[test]
fn a_hash_altered_by_crypt_blowfish_is_not_verified() {
    let text = "$2a$05$/OK.fbVrR/bpIqNJ5ianF.nqd1wy.pTMdcvrRWxyiGL2eMz.2a85.";
    let hash: Hash = text.parse().unwrap();
    assert_eq!(verify(b"\xff\xff\xa3", &hash), Ok(false));
    assert!(!bcrypt::verify(b"\xff\xff\xa3", text).unwrap());
}

/// Why callers should refuse NUL: the password repeats with its terminator.
#[test]
fn a_nul_can_make_two_passwords_one() {
    let hash = bcrypt_lanes::hash(4, [7; 16], b"ab").unwrap();
    assert_eq!(verify(b"ab\0ab", &hash), Ok(true));
}
