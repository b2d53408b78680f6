//! What a password is worth, and what it costs to find out; then the whole house under load.

use std::net::Ipv4Addr;

use super::*;

const SALT: [u8; 16] = *b"sixteen of salt!";
const CHEAP: Scheme = Scheme::Bcrypt { cost: 5 };

fn hasher(scheme: Scheme) -> Hasher {
    Hasher::start(HasherSettings {
        scheme,
        workers: 2,
        lanes: Some(4),
        max_wait: Duration::from_secs(60),
        max_waiting: 2_000,
    })
    .unwrap()
}

fn network(number: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, number).into()
}

async fn hash(hasher: &Hasher, password: &[u8]) -> String {
    let ticket = hasher.admit(network(1)).unwrap();
    ticket.hash(password, SALT).await.unwrap()
}

/// The verdict, and how many hashes it cost: together never less than one of the configured kind. (SEC-13)
async fn verify(hasher: &Hasher, password: &[u8], stored: Option<&str>) -> (Verdict, u64) {
    let before = hasher.load();
    let ticket = hasher.admit(network(1)).unwrap();
    let one_rounds = ticket.scheme.recipe(SALT).rounds();
    let verdict = ticket.verify(password, stored, [7; 16]).await.unwrap();
    let after = hasher.load();
    assert!(after.rounds - before.rounds >= one_rounds);
    (verdict, after.hashes - before.hashes)
}

#[tokio::test]
async fn every_byte_of_a_password_counts() {
    // SEC-04
    let hasher = hasher(CHEAP);
    let long = [b'a'; 80];
    for length in [0, 1, 71, 72, 73, 80] {
        let password = &long[..length];
        let stored = hash(&hasher, password).await;
        let kind = if length <= 72 {
            "$2b$05$"
        } else {
            "$argon2id$v=19$m=19456,t=2,p=1$"
        };
        assert!(stored.starts_with(kind), "{length} bytes: {stored}");
        for other_length in [71, 72, 73, 80] {
            let (verdict, _) = verify(&hasher, &long[..other_length], Some(&stored)).await;
            let expected = if other_length == length {
                Verdict::Matches
            } else {
                Verdict::Refused
            };
            assert_eq!(verdict, expected, "{length} and {other_length} bytes");
        }
    }
}

#[tokio::test]
async fn a_nul_does_not_repeat_a_password() {
    // SEC-04, SEC-05: to bcrypt these two are one password.
    let hasher = hasher(CHEAP);
    let stored = hash(&hasher, b"ab").await;
    let (verdict, _) = verify(&hasher, b"ab\0ab", Some(&stored)).await;
    assert_eq!(verdict, Verdict::Refused);
    let stored = hash(&hasher, b"ab\0ab").await;
    assert_eq!(
        verify(&hasher, b"ab", Some(&stored)).await.0,
        Verdict::Refused
    );
}

#[tokio::test]
async fn hashes_of_other_implementations_match() {
    let hasher = hasher(CHEAP);
    let password = "pässword1!";
    let parts = bcrypt::hash_with_salt(password, 5, SALT).unwrap();
    let bcrypt = [
        bcrypt::Version::TwoA,
        bcrypt::Version::TwoB,
        bcrypt::Version::TwoY,
    ];
    for stored in bcrypt.map(|version| parts.format_for_version(version)) {
        let (verdict, _) = verify(&hasher, password.as_bytes(), Some(&stored)).await;
        assert_eq!(verdict, Verdict::Matches, "{stored}");
        let (verdict, _) = verify(&hasher, b"password1!", Some(&stored)).await;
        assert_eq!(verdict, Verdict::Refused, "{stored}");
    }
    // test.c of the reference implementation of argon2; 64 MiB do not fit a worker's own memory.
    let argon2id =
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    let (verdict, _) = verify(&hasher, b"password", Some(argon2id)).await;
    assert_eq!(verdict, Verdict::Matches);
    let made_here = hash(&hasher, password.as_bytes()).await;
    assert!(bcrypt::verify(password, &made_here).unwrap());
}

#[tokio::test]
async fn stored_hashes_out_of_bounds_are_nobodys_and_cost_one_hash() {
    // SEC-07, SEC-13
    let salt_and_digest = "c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    let argon2 = |head: &str| format!("${head}${salt_and_digest}");
    let good_bcrypt = bcrypt::hash_with_salt("password", 5, SALT)
        .unwrap()
        .to_string();
    let bcrypt_rest = &good_bcrypt[7..];
    let stored = [
        String::new(),
        "!".into(),
        "$".into(),
        "$2b$".into(),
        "$2b$05$".into(),
        "päss".repeat(12),
        "$2b$05$".to_owned() + &"é".repeat(26) + "a",
        format!("$2b$03${bcrypt_rest}"),
        format!("$2b$16${bcrypt_rest}"),
        format!("$2b$31${bcrypt_rest}"),
        format!("$2x$05${bcrypt_rest}"),
        format!("$2b$05${bcrypt_rest}a"),
        argon2("argon2i$v=19$m=65536,t=2,p=1"),
        argon2("argon2d$v=19$m=65536,t=2,p=1"),
        argon2("argon2id$v=16$m=65536,t=2,p=1"),
        argon2("argon2id$m=65536,t=2,p=1"),
        argon2("argon2id$v=19$m=1048577,t=2,p=1"),
        argon2("argon2id$v=19$m=4294967295,t=2,p=1"),
        argon2("argon2id$v=19$m=4294967296,t=2,p=1"),
        argon2("argon2id$v=19$m=65536,t=11,p=1"),
        argon2("argon2id$v=19$m=65536,t=0,p=1"),
        argon2("argon2id$v=19$m=65536,t=2,p=17"),
        argon2("argon2id$v=19$m=65536,t=2,p=0"),
        argon2("argon2id$v=19$m=64,t=2,p=16"),
        argon2("argon2id$v=19$m=65536,t=2"),
        argon2("argon2id$v=19$m=65536,t=2,p=1,data=c29t"),
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ".into(),
        "$argon2id$v=19$m=65536,t=2,p=1$c29t$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc".into(),
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFh".into(),
        argon2("argon2id$v=19$m=65536,t=2,p=1") + "$more",
    ];
    let hasher = hasher(CHEAP);
    for stored in stored {
        let answer = verify(&hasher, b"password", Some(&stored)).await;
        assert_eq!(answer, (Verdict::Refused, 1), "{stored}");
    }
    for stored in [good_bcrypt, argon2("argon2id$v=19$m=65536,t=2,p=1")] {
        let (verdict, _) = verify(&hasher, b"password", Some(&stored)).await;
        assert_eq!(verdict, Verdict::Matches, "{stored} spoils the test");
    }
    assert_eq!(
        verify(&hasher, b"password", None).await,
        (Verdict::Refused, 1)
    );
}

#[tokio::test]
async fn a_weaker_hash_that_matches_comes_back_better() {
    // SEC-08, SEC-13: the kind that is better, and how many hashes success and refusal cost alike.
    let (argon2id, cheap, cheapest) = (Scheme::Argon2id, CHEAP, Scheme::Bcrypt { cost: 4 });
    let (short, long): (&[u8], &[u8]) = (b"password", &[b'a'; 73]);
    let of = async |scheme| hash(&hasher(scheme), short).await;
    let bcrypt_kind = Some("$2b$05$");
    let argon2id_kind = Some("$argon2id$v=19$m=19456,t=2,p=1$");

    check(cheap, short, &of(cheap).await, None, 1).await;
    check(cheapest, short, &of(cheap).await, None, 1).await;
    check(cheap, short, &of(cheapest).await, bcrypt_kind, 2).await;
    check(cheap, short, &of(argon2id).await, None, 2).await;
    check(cheap, short, &weak_argon2id(short), bcrypt_kind, 2).await;
    check(cheap, long, &weak_argon2id(long), argon2id_kind, 3).await;
    check(argon2id, short, &of(argon2id).await, None, 1).await;
    check(argon2id, short, &of(cheap).await, argon2id_kind, 2).await;
    check(argon2id, long, &weak_argon2id(long), argon2id_kind, 2).await;
}

async fn check(
    scheme: Scheme,
    password: &[u8],
    stored: &str,
    better_kind: Option<&str>,
    cost: u64,
) {
    let hasher = hasher(scheme);
    let mut wrong = password.to_vec();
    wrong[0] ^= 1;
    let refusal = verify(&hasher, &wrong, Some(stored)).await;
    assert_eq!(refusal, (Verdict::Refused, cost), "{stored}");
    let (verdict, success_cost) = verify(&hasher, password, Some(stored)).await;
    assert_eq!(success_cost, cost, "{stored}");
    match (verdict, better_kind) {
        (Verdict::Matches, None) => {}
        (Verdict::MatchesWeaker { better }, Some(kind)) => {
            assert!(better.starts_with(kind), "{better}");
            let (again, _) = verify(&hasher, password, Some(&better)).await;
            assert_eq!(again, Verdict::Matches, "{better}");
        }
        (verdict, _) => panic!("{verdict:?} for {stored}"),
    }
}

fn weak_argon2id(password: &[u8]) -> String {
    use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
    let params = Params::new(8, 1, 1, None).unwrap();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_with_salt(password, &SALT)
        .unwrap()
        .to_string()
}

#[tokio::test]
async fn a_password_too_long_for_the_stored_hash_still_pays() {
    // SEC-13: with cost 11 argon2id, which takes such a password, would be too cheap a refusal.
    let hasher = hasher(Scheme::Bcrypt { cost: 11 });
    let stored = hash(&hasher, &[b'a'; 72]).await;
    for stored in [Some(stored.as_str()), None] {
        let answer = verify(&hasher, &[b'a'; 73], stored).await;
        assert_eq!(answer, (Verdict::Refused, 1));
    }
}

#[tokio::test]
async fn costs_that_would_never_end_are_refused_at_the_start() {
    for cost in [0, 3, 16, 31, 32] {
        let settings = HasherSettings {
            scheme: Scheme::Bcrypt { cost },
            workers: 1,
            lanes: None,
            max_wait: Duration::from_secs(1),
            max_waiting: 1,
        };
        let error = Hasher::start(settings).err().map(|error| error.kind());
        assert_eq!(error, Some(io::ErrorKind::InvalidInput));
    }
}
