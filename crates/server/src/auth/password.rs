//! Passwords as they arrive, and the two policies for new ones.

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::common_passwords::{self, fold};
use super::email::Email;
use crate::settings::PasswordPolicy;

/// A password as it is compared: NFC, otherwise exactly as sent (SEC-03). Wiped when dropped; not printable.
pub struct Password(Zeroizing<String>);

/// A password that the policy has accepted for an account.
pub struct NewPassword(Password);

/// The rule that a new password broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Fewer characters than the policy asks for.
    #[error("Password must be at least {0} characters")]
    TooShort(usize),
    /// More than 128 characters.
    #[error("Password must be at most 128 characters")]
    TooLong,
    /// No digit.
    #[error("Password must contain at least one digit")]
    NoDigit,
    /// No special character.
    #[error("Password must contain at least one special character")]
    NoSpecial,
    /// U+0000, at which other systems would cut the password.
    #[error("Password must not contain the NUL character")]
    Nul,
    /// On the list of common passwords, or made of little else.
    #[error("Password is too common")]
    Common,
    /// Contains the name, the e-mail's local part or the product's name and hardly anything else.
    #[error("Password must not be made from your name, your email or the name of this service")]
    Personal,
}

/// Characters (Unicode code points, as NIST counts) that policy `spec` asks for at least.
const SPEC_SHORTEST: usize = 8;
/// NIST SP 800-63B-4 §3.1.1.2 where the password is the only factor.
const NIST_SHORTEST: usize = 15;
/// Both policies; NIST asks that 64 be allowed.
const LONGEST: usize = 128;

impl Password {
    /// Takes a password as sent. NFC is the only change.
    #[must_use]
    pub fn new(sent: &str) -> Self {
        // Reserved up front: a growing string would leave copies behind that nobody wipes.
        let mut composed = String::with_capacity(sent.len() * 3);
        composed.extend(sent.nfc());
        Self(Zeroizing::new(composed))
    }

    /// The bytes to hash; `None` when no account can have this password, because it is too long or has a NUL.
    #[must_use]
    pub fn hashable(&self) -> Option<&[u8]> {
        let possible =
            self.0.chars().take(LONGEST + 1).count() <= LONGEST && !self.0.contains('\0');
        possible.then_some(self.0.as_bytes())
    }
}

impl NewPassword {
    /// Checks a password against the policy, for the account that it is meant for.
    ///
    /// # Errors
    /// [`PasswordError`] names the first rule that failed (SEC-01, SEC-02).
    pub fn check(
        sent: &str,
        policy: PasswordPolicy,
        email: Option<&Email>,
        name: &str,
    ) -> Result<Self, PasswordError> {
        let password = Password::new(sent);
        let text = password.0.as_str();
        let length = text.chars().count();
        let shortest = match policy {
            PasswordPolicy::Spec => SPEC_SHORTEST,
            PasswordPolicy::Nist => NIST_SHORTEST,
        };
        if length < shortest {
            return Err(PasswordError::TooShort(shortest));
        }
        if length > LONGEST {
            return Err(PasswordError::TooLong);
        }
        if text.contains('\0') {
            return Err(PasswordError::Nul);
        }
        match policy {
            PasswordPolicy::Spec => check_composition(text)?,
            PasswordPolicy::Nist => {
                check_blocklist(text, email.map_or("", Email::local_part), name)?
            }
        }
        Ok(Self(password))
    }

    /// The bytes to hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.0.as_bytes()
    }
}

fn check_composition(text: &str) -> Result<(), PasswordError> {
    if !text.chars().any(|character| character.is_ascii_digit()) {
        return Err(PasswordError::NoDigit);
    }
    let is_special = |character: char| !character.is_alphanumeric() && !character.is_whitespace();
    if !text.chars().any(is_special) {
        return Err(PasswordError::NoSpecial);
    }
    Ok(())
}

fn check_blocklist(text: &str, local_part: &str, name: &str) -> Result<(), PasswordError> {
    if common_passwords::contains(text) {
        return Err(PasswordError::Common);
    }
    let folded = fold(text);
    let personal = [local_part, name, "gatewright"].into_iter().map(fold);
    for word in personal.filter(|word| word.chars().count() >= 3) {
        // What is left without the word must itself be more than an ending such as "2026!".
        if folded.contains(&word) && folded.replace(&word, "").chars().count() < SPEC_SHORTEST {
            return Err(PasswordError::Personal);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(policy: PasswordPolicy, sent: &str) -> Result<(), PasswordError> {
        let email = Email::parse("annabel.lee@example.com").expect("an e-mail");
        NewPassword::check(sent, policy, Some(&email), "Annabel Lee").map(drop)
    }

    #[test]
    fn spec_policy() {
        // SEC-01, SEC-05; T014
        let spec = |sent: &str| check(PasswordPolicy::Spec, sent);
        for good in [
            "SecurePass123!",
            "MyP@ssw0rd",
            "Test1234!",
            "Password123!",
            "1234567!",
            "pässwört1€",
        ] {
            assert_eq!(spec(good), Ok(()), "{good}");
        }
        assert_eq!(spec(&format!("1!{}", "ü".repeat(126))), Ok(()));
        assert_eq!(spec("Test12!"), Err(PasswordError::TooShort(8)));
        assert_eq!(
            spec(&format!("1!{}", "a".repeat(127))),
            Err(PasswordError::TooLong)
        );
        assert_eq!(spec("password!"), Err(PasswordError::NoDigit));
        assert_eq!(spec("password1"), Err(PasswordError::NoSpecial));
        assert_eq!(spec("pass word1"), Err(PasswordError::NoSpecial));
        assert_eq!(spec("password\u{0}1!"), Err(PasswordError::Nul));
    }

    #[test]
    fn nist_policy() {
        // SEC-02
        let nist = |sent: &str| check(PasswordPolicy::Nist, sent);
        assert_eq!(nist("correct horse battery staple"), Ok(()));
        assert_eq!(nist("correct horse"), Err(PasswordError::TooShort(15)));
        assert_eq!(nist("passwordpassword"), Err(PasswordError::Common));
        assert_eq!(nist("Annabel-Lee-2026!!"), Err(PasswordError::Personal));
        assert_eq!(nist("annabel.lee@1234"), Err(PasswordError::Personal));
        assert_eq!(nist("Gatewright12345"), Err(PasswordError::Personal));
        assert_eq!(nist("annabel lee likes the sea"), Ok(()));
        // Seven characters beside the word are an ending, eight a password of their own.
        assert_eq!(nist("gatewrightxkqzvwm"), Err(PasswordError::Personal));
        assert_eq!(nist("gatewrightxkqzvwmp"), Ok(()));
    }

    #[test]
    fn composed_forms_are_the_same_password() {
        // SEC-03
        let composed = Password::new("caf\u{e9} 1!");
        let decomposed = Password::new("cafe\u{301} 1!");
        assert_eq!(composed.hashable(), decomposed.hashable());
        assert_eq!(Password::new(" a ").hashable(), Some(&b" a "[..]));
        assert_eq!(Password::new("a\0b").hashable(), None);
        assert_eq!(Password::new(&"a".repeat(129)).hashable(), None);
    }
}
