//! The shared HS256 secrets: parsed once, checked for strength, never printed.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// 256 bits: the least an HS256 key may have (RFC 7518 section 3.2).
const SECRET_BYTES_MINIMUM: usize = 32;
/// Fewer different bytes than this cannot come from a generator; 32 random hexadecimal digits have about 14.
const DISTINCT_BYTES_MINIMUM: usize = 8;
/// A text that repeats so short a unit is a typed one, however long it is.
const REPEATED_UNIT_BYTES_MAXIMUM: usize = 8;
/// Longest version of a secret; it travels as `kid` in every token's header.
const VERSION_BYTES_MAXIMUM: usize = 64;

/// Parts of secrets that documentation, tutorials and default configurations have published, in lower case and
/// without anything but letters and digits. A secret that contains one is refused.
const PUBLISHED: [&str; 21] = [
    // Better Auth's built-in default, and its beginnings
    "betterauthsecret1234",
    // this project's .env.example
    "replaceme",
    // the usual placeholders
    "changeit",
    "changeme",
    "changethis",
    "yoursecret",
    "yoursupersecret",
    "yourjwtsecret",
    "yourauthsecret",
    "yournextauthsecret",
    "djangoinsecure",
    // jwt.io, now and before
    "astringsecretatleast",
    "avalidstringsecretthatisatleast",
    "your256bitsecret",
    // Supabase's self-hosting example
    "supersecretjwttoken",
    // the FastAPI tutorial
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    // the Hasura documentation
    "3ek6fdo0c7tzbnvfjpmkndi2yaraakzqlk8o2ikoxqu4nf7edah8s3twphwrdwt6r",
    // the PostgREST tutorial
    "reallyreallyreallyreallyverysafe",
    // Spring Boot tutorials
    "404e635266556a586e3272357538782f413f4428472b4b6250645367566b5970",
    "bezkoder",
    // RFC 7515 appendix A.1
    "aym1sysppbydfgzld3umj1qzkobwvmkoqqestjqlrt1qs0gzh75aktmn3yj0ips4hcguutwjazzr1z9caow",
];

/// A shared secret that passed [`Secret::new`]. It is wiped when dropped and has no `Display`, comparison or
/// serialisation; its `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Checks a secret's strength.
    ///
    /// # Errors
    /// Says what is wrong, in words that follow "the secret" and never contain any of it: shorter than
    /// 32 bytes, a control character or outer white space (a pasting accident that another reader of
    /// the same variable may silently trim), low variety, or a published example.
    pub fn new(text: impl Into<SecretString>) -> Result<Self, &'static str> {
        let secret = text.into();
        let text = secret.expose_secret();
        if text.is_empty() {
            Err("is empty")
        } else if text.chars().any(char::is_control) {
            Err("contains a line break or another control character")
        } else if text.trim() != text {
            Err("begins or ends with white space")
        } else if text.len() < SECRET_BYTES_MINIMUM {
            Err("is shorter than 32 bytes")
        } else if is_published(text) {
            Err("is a published example")
        } else if has_low_variety(text.as_bytes()) {
            Err("has too little variety to be random")
        } else {
            Ok(Self(secret))
        }
    }

    /// The raw UTF-8 bytes: the HMAC key itself.
    pub fn expose_bytes(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(redacted)")
    }
}

/// One shared secret and the version under which tokens name it.
#[derive(Debug, Clone)]
pub struct VersionedSecret {
    /// The `kid` of its tokens: 1 to 64 of `A-Z a-z 0-9 . _ -`. `None` for a plain `BETTER_AUTH_SECRET`.
    pub version: Option<String>,
    /// The secret itself.
    pub secret: Secret,
}

/// The shared secrets in force: the first signs, all verify. There is always a first.
#[derive(Debug, Clone)]
pub struct Secrets {
    all: Vec<VersionedSecret>,
}

impl Secrets {
    /// A single secret without a version.
    pub fn single(secret: Secret) -> Self {
        Self {
            all: vec![VersionedSecret {
                version: None,
                secret,
            }],
        }
    }

    /// Parses `2:new,1:old`: entries part at commas, and a version ends at its entry's first colon.
    ///
    /// # Errors
    /// Says what is wrong by the entry's position, never by its text: that may be a secret whose version was forgotten.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut all: Vec<VersionedSecret> = Vec::new();
        for (index, entry) in text.split(',').enumerate() {
            let position = index + 1;
            let (version, secret) = entry
                .split_once(':')
                .filter(|(version, _)| is_version(version))
                .ok_or_else(|| {
                    format!(
                        "entry {position} is not version:secret, where a version is 1 to 64 of A-Z a-z 0-9 . _ - \
                         and commas part entries"
                    )
                })?;
            if all
                .iter()
                .any(|earlier| earlier.version.as_deref() == Some(version))
            {
                return Err(format!("entry {position} repeats an earlier version"));
            }
            let secret = Secret::new(secret)
                .map_err(|weakness| format!("the secret of entry {position} {weakness}"))?;
            all.push(VersionedSecret {
                version: Some(version.to_owned()),
                secret,
            });
        }
        Ok(Self { all })
    }

    /// The secret that signs new tokens.
    pub fn signing(&self) -> &VersionedSecret {
        self.all.first().expect("both constructors put one in")
    }

    /// All secrets that verify, the signing one first.
    pub fn verifying(&self) -> &[VersionedSecret] {
        &self.all
    }

    /// The versions in order with the secrets left out, such as `2:redacted,1:redacted`.
    pub(super) fn redacted(&self) -> String {
        let shown = self.all.iter().map(|entry| match &entry.version {
            Some(version) => format!("{version}:redacted"),
            None => "redacted".to_owned(),
        });
        shown.collect::<Vec<_>>().join(",")
    }
}

fn is_version(text: &str) -> bool {
    (1..=VERSION_BYTES_MAXIMUM).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn is_published(text: &str) -> bool {
    let normalised: String = text
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|character| character.to_ascii_lowercase())
        .collect();
    PUBLISHED.iter().any(|known| normalised.contains(known))
}

fn has_low_variety(bytes: &[u8]) -> bool {
    let mut distinct = bytes.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    distinct.len() < DISTINCT_BYTES_MINIMUM
        || (1..=REPEATED_UNIT_BYTES_MAXIMUM)
            .any(|unit| bytes.iter().skip(unit).eq(&bytes[..bytes.len() - unit]))
}

#[cfg(test)]
mod tests {
    use super::*;

    // SEC-79
    #[test]
    fn weak_and_published_secrets_are_refused() {
        let refused = [
            ("", "is empty"),
            ("secret", "shorter"),
            ("0123456789abcdef0123456789abcde", "shorter"),
            ("better-auth-secret-12345678901234567890", "published"),
            ("better-auth-secret-1234567890123", "published"),
            ("Better_Auth_Secret_12345678901234567890!", "published"),
            ("your-secret-key-that-nobody-knows-at-all", "published"),
            ("YOUR_SECRET_KEY_THAT_NOBODY_KNOWS_AT_ALL", "published"),
            ("your-256-bit-secret-your-256-bit-secret", "published"),
            ("a-string-secret-at-least-256-bits-long", "published"),
            ("changeme-changeme-0123456789-abcdefgh", "published"),
            ("please CHANGE-ME before production 42", "published"),
            (
                "super-secret-jwt-token-with-at-least-32-characters-long",
                "published",
            ),
            (
                "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
                "published",
            ),
            (
                "replace-me-with-the-output-of-gatewright-secret",
                "published",
            ),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "variety"),
            ("abcdefgabcdefgaabbccddeeffggabcdefgggggg", "variety"),
            ("abcdefghabcdefghabcdefghabcdefghabc", "variety"),
            ("0123456789abcdef\n0123456789abcdef", "line break"),
            ("0123456789abcdef\u{0}0123456789abcdef", "control character"),
            ("0123456789abcdef0123456789abcdef ", "white space"),
        ];
        for (text, reason) in refused {
            let weakness = Secret::new(text).expect_err(text);
            assert!(weakness.contains(reason), "{text:?}: {weakness}");
        }
    }

    #[test]
    fn ordinary_secrets_are_accepted_byte_for_byte() {
        let accepted = [
            "test-secret-0123456789abcdef-0123456789",
            "0123456789abcdef0123456789abcdef",
            "my-test-secret-that-is-long-enough-for-hs256",
            "q7Vd0i+Zz1rG5yqk1o2Vb0B0Q0S5hJ3rX9wq2Jm8t7Y=",
            "pässwörter sind länger als ihre Zeichen",
        ];
        for text in accepted {
            let secret = Secret::new(text).expect(text);
            assert_eq!(secret.expose_bytes(), text.as_bytes());
        }
    }

    // SEC-80
    #[test]
    fn rotation_keeps_order_and_versions() {
        let secrets = Secrets::parse(
            "2026.11-b:n:ew-0123456789abcdef-0123456789,1:former-0123456789abcdef-0123456789",
        )
        .expect("well-formed");
        assert_eq!(secrets.signing().version.as_deref(), Some("2026.11-b"));
        assert_eq!(
            secrets.signing().secret.expose_bytes(),
            b"n:ew-0123456789abcdef-0123456789"
        );
        assert_eq!(secrets.verifying().len(), 2);
        assert_eq!(secrets.verifying()[1].version.as_deref(), Some("1"));
        assert_eq!(secrets.redacted(), "2026.11-b:redacted,1:redacted");
    }

    #[test]
    fn malformed_rotation_is_refused_by_position_alone() {
        let good = "hunter22-0123456789abcdef-0123456789";
        let long_version = "v".repeat(65);
        let refused = [
            (good.to_owned(), "entry 1 is not version:secret"),
            (format!("2:{good},{good}"), "entry 2 is not version:secret"),
            (format!("2:{good},"), "entry 2 is not version:secret"),
            (format!("2:{good}, 1:{good}"), "entry 2 is not"),
            (format!(":{good}"), "entry 1 is not version:secret"),
            (format!("{long_version}:{good}"), "entry 1 is not"),
            (format!("ü:{good}"), "entry 1 is not version:secret"),
            (format!("1:{good},1:{good}"), "entry 2 repeats"),
            (format!("2:{good},1:hunter22"), "entry 2 is shorter"),
            (format!("2:{good} ,1:{good}"), "entry 1 begins or ends"),
        ];
        for (text, reason) in refused {
            let problem = Secrets::parse(&text).expect_err(&text);
            assert!(problem.contains(reason), "{text:?}: {problem}");
            assert!(!problem.contains("hunter22"), "{problem}");
        }
    }

    #[test]
    fn debug_shows_nothing_of_a_secret() {
        let secret = Secret::new("hunter22-0123456789abcdef-0123456789").expect("strong");
        let shown = format!("{secret:?} {:?}", Secrets::single(secret.clone()));
        assert!(!shown.contains("hunter22"), "{shown}");
    }
}
