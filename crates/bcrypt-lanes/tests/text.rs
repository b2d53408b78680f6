//! The text of a hash: what is written, what is read, what is refused.

use bcrypt_lanes::{Digest, Error, Hash};
use proptest::prelude::*;

const TEXT: &str = "$2b$12$L6Bc/AlTQHyd9liGgGEZyOFLPHNgyxeEPfgYfBCVxJ7JIlwxyVU3u";

#[test]
fn parts_are_read() {
    let hash: Hash = TEXT.parse().unwrap();
    let oracle: bcrypt::HashParts = TEXT.parse().unwrap();
    assert_eq!(hash.cost(), 12);
    assert_eq!(hash.salt(), oracle.get_salt_raw());
    assert_eq!(hash.to_string(), TEXT);
}

#[test]
fn every_version_is_written_as_2b() {
    for version in ["2a", "2y"] {
        let hash: Hash = TEXT.replace("2b", version).parse().unwrap();
        assert_eq!(hash.to_string(), TEXT);
    }
}

#[test]
fn malformed_text_is_refused() {
    let ends_in_half_a_character = format!("{}é", &TEXT[..58]);
    assert_eq!(ends_in_half_a_character.len(), 60);
    for text in [
        "",
        "$",
        &TEXT[..59],
        &format!("{TEXT}."),
        &format!("{TEXT}\n"),
        &format!(" {}", &TEXT[..59]),
        &TEXT.replace("$2b$", "$2x$"),
        &TEXT.replace("$2b$", "$2c$"),
        &TEXT.replace("$2b$", "$2B$"),
        &TEXT.replace("$2b$", "$3b$"),
        &TEXT.replace("$12$", "$+5$"),
        &TEXT.replace("$12$", "$ 5$"),
        &TEXT.replace("$12$", "$1a$"),
        &TEXT.replace("$12$", "$5$."),
        &TEXT.replace("$12$", "$120"),
        &TEXT.replace('L', "$"),
        &TEXT.replace('L', "="),
        &TEXT.replace('L', "\0"),
        &TEXT.replace("L6", "é"),
        &ends_in_half_a_character,
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQxMjM0NTY3OA$Zm9vYmFy",
    ] {
        assert_eq!(text.parse::<Hash>(), Err(Error::Malformed), "{text:?}");
    }
}

#[test]
fn costs_bcrypt_does_not_have_are_refused() {
    for cost in [0, 3, 32, 99] {
        let text = TEXT.replace("$12$", &format!("${cost:02}$"));
        assert_eq!(text.parse::<Hash>(), Err(Error::Cost(cost)));
        assert_eq!(
            Hash::new(cost, [0; 16], Digest::from([0; 23])),
            Err(Error::Cost(cost))
        );
    }
    for cost in [4, 31] {
        let text = TEXT.replace("$12$", &format!("${cost:02}$"));
        assert_eq!(text.parse::<Hash>().unwrap().cost(), cost);
    }
}

#[test]
fn bits_that_belong_to_no_byte_must_be_clear() {
    // The salt ends in O, the digest in u: the next letters of bcrypt's alphabet differ in the lowest bit only.
    for text in [TEXT.replace("ZyOF", "ZyPF"), TEXT.replace("U3u", "U3v")] {
        assert_eq!(text.parse::<Hash>(), Err(Error::Malformed), "{text}");
    }
}

#[test]
fn debug_shows_the_cost_alone() {
    let hash: Hash = TEXT.parse().unwrap();
    assert_eq!(format!("{hash:?}"), "Hash { cost: 12, .. }");
    assert_eq!(format!("{:?}", hash.digest()), "Digest { .. }");
}

proptest! {
    #[test]
    fn what_is_written_is_read(cost in 4..=31_u32, salt: [u8; 16], digest in any::<[u8; 23]>()) {
        let hash = Hash::new(cost, salt, Digest::from(digest)).unwrap();
        prop_assert_eq!(&hash.to_string().parse::<Hash>(), &Ok(hash.clone()));
        prop_assert_eq!(hash.digest().as_bytes(), &digest);
    }

    #[test]
    fn digests_are_equal_when_their_bytes_are(left: [u8; 23], position in 0..23_usize, bit in 0..8_u32) {
        let mut right = left;
        prop_assert_eq!(Digest::from(left), Digest::from(right));
        right[position] ^= 1_u8 << bit;
        prop_assert_ne!(Digest::from(left), Digest::from(right));
    }

    #[test]
    fn no_text_panics(text: String) {
        prop_assert_eq!(text.parse::<Hash>(), Err(Error::Malformed));
    }

    /// One character replaced: the oracle agrees whether it is still a hash.
    #[test]
    fn the_oracle_reads_the_same(
        position in 0..60_usize,
        character in prop_oneof![any::<char>(), proptest::char::range(' ', '~')],
    ) {
        let rest = &TEXT[position + 1..];
        let text = format!("{}{character}{rest}", &TEXT[..position]);
        let oracle = text
            .parse::<bcrypt::HashParts>()
            .ok()
            .filter(|oracle| (4..=31).contains(&oracle.get_cost()))
            .filter(|_| !text.starts_with("$2x$") && !text.contains('+'));
        let ours = text.parse::<Hash>().ok();
        prop_assert_eq!(ours.map(|hash| hash.to_string()), oracle.map(|hash| hash.to_string()));
    }
}
