//! Canonical e-mail: one spelling an account, made here and nowhere else.

use std::borrow::Cow;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use unicode_normalization::is_nfc;

/// RFC 5321 §4.5.3.1.3 less the angle brackets.
const LONGEST: usize = 254;
/// RFC 5321 §4.5.3.1.1.
const LONGEST_LOCAL_PART: usize = 64;

/// A canonical e-mail: ASCII-lower-case local part, lower-case A-label domain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Email(String);

/// Why a text is no e-mail that an account can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// There is not exactly one `@`, or nothing on one side of it.
    #[error("Email must have exactly one @ with text on both sides")]
    Shape,
    /// It is over 254 bytes, or its local part over 64.
    #[error("Email must be at most 254 bytes, with at most 64 before the @")]
    Length,
    /// The local part is quoted, has misplaced dots or characters that do not belong there.
    #[error("Email has characters before the @ that are not allowed")]
    LocalPart,
    /// The domain is a literal, has no dot, or is no domain name.
    #[error("Email must have a valid domain name with a dot after the @")]
    Domain,
}

impl Email {
    /// Parses and canonicalises: trims ASCII space, lower-cases ASCII in the local part, turns the domain into
    /// lower-case A-labels (UTS #46). Never Unicode lower-casing, which would turn U+212A into `k` (SEC-53, SEC-54).
    ///
    /// # Errors
    /// [`EmailError`] names the rule that failed; every rule is checked on the canonical form.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let text = text.trim_matches(' ');
        // The canonical form can be shorter than what was sent, but not by this much.
        if text.len() > 4 * LONGEST {
            return Err(EmailError::Length);
        }
        let (local, domain) = text.split_once('@').ok_or(EmailError::Shape)?;
        if local.is_empty() || domain.is_empty() || domain.contains('@') {
            return Err(EmailError::Shape);
        }
        let local = canonical_local_part(local)?;
        let domain = canonical_domain(domain)?;
        if local.len() > LONGEST_LOCAL_PART || local.len() + 1 + domain.len() > LONGEST {
            return Err(EmailError::Length);
        }
        Ok(Self(format!("{local}@{domain}")))
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the `@`.
    #[must_use]
    pub fn local_part(&self) -> &str {
        self.0.split_once('@').map_or("", |(local, _)| local)
    }
}

fn canonical_local_part(local: &str) -> Result<String, EmailError> {
    let canonical = local.to_ascii_lowercase();
    let dots_are_placed = canonical.split('.').all(|atom| !atom.is_empty());
    // Refused rather than composed: composing turns U+212A into K, and one spelling would take another's account.
    if is_nfc(local)
        && dots_are_placed
        && canonical
            .chars()
            .all(|character| character == '.' || is_atom_text(character))
    {
        Ok(canonical)
    } else {
        Err(EmailError::LocalPart)
    }
}

/// RFC 5322 §3.2.3 `atext`, with letters and digits of any script (RFC 6531 §3.3).
fn is_atom_text(character: char) -> bool {
    character.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(character)
}

fn canonical_domain(domain: &str) -> Result<Cow<'_, str>, EmailError> {
    let labels = Uts46::new()
        .to_ascii(
            domain.as_bytes(),
            AsciiDenyList::STD3,
            Hyphens::CheckFirstLast,
            DnsLength::Verify,
        )
        .map_err(|_| EmailError::Domain)?;
    let top_level = labels.rsplit_once('.').map(|(_, top_level)| top_level);
    // An all-numeric top level is an IPv4 address, not a name (RFC 3696 §2).
    match top_level {
        Some(label) if !label.bytes().all(|byte| byte.is_ascii_digit()) => Ok(labels),
        _ => Err(EmailError::Domain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_forms() {
        // SEC-53
        let long_domain = format!(
            "{}.{}.{}.com",
            "a".repeat(63),
            "b".repeat(63),
            "c".repeat(50)
        );
        for (sent, canonical) in [
            ("ann@example.com", "ann@example.com"),
            ("  Ann@Example.COM ", "ann@example.com"),
            ("ann+tag@example.com", "ann+tag@example.com"),
            ("o'neil_9@sub.example.co.uk", "o'neil_9@sub.example.co.uk"),
            ("ann@BÜCHER.example", "ann@xn--bcher-kva.example"),
            ("ann@xn--bcher-kva.example", "ann@xn--bcher-kva.example"),
            ("ann@example．com", "ann@example.com"),
            ("J\u{fc}rgen@example.com", "j\u{fc}rgen@example.com"),
            (&format!("a@{long_domain}"), &format!("a@{long_domain}")),
        ] {
            let parsed = Email::parse(sent).expect(sent);
            assert_eq!(parsed.as_str(), canonical);
            assert_eq!(
                Email::parse(canonical),
                Ok(parsed),
                "canonical forms stay as they are"
            );
        }
    }

    #[test]
    fn refusals() {
        // SEC-54
        let long_label = format!("a@{}.com", "b".repeat(64));
        let long_local = format!("{}@example.com", "a".repeat(65));
        for (sent, error) in [
            ("", EmailError::Shape),
            ("ann", EmailError::Shape),
            ("@example.com", EmailError::Shape),
            ("ann@", EmailError::Shape),
            ("a@b@example.com", EmailError::Shape),
            ("ann＠example.com", EmailError::Shape),
            ("\"ann\"@example.com", EmailError::LocalPart),
            ("ann lee@example.com", EmailError::LocalPart),
            (".ann@example.com", EmailError::LocalPart),
            ("ann.@example.com", EmailError::LocalPart),
            ("a..b@example.com", EmailError::LocalPart),
            ("ann\0@example.com", EmailError::LocalPart),
            ("Ann <ann@example.com>", EmailError::LocalPart),
            ("\u{212a}ann@example.com", EmailError::LocalPart),
            ("ju\u{308}rgen@example.com", EmailError::LocalPart),
            ("ann@example", EmailError::Domain),
            ("ann@localhost", EmailError::Domain),
            ("ann@[127.0.0.1]", EmailError::Domain),
            ("ann@127.0.0.1", EmailError::Domain),
            ("ann@exa mple.com", EmailError::Domain),
            ("ann@exa_mple.com", EmailError::Domain),
            ("ann@-example.com", EmailError::Domain),
            ("ann@example..com", EmailError::Domain),
            ("ann@example.com.", EmailError::Domain),
            ("ann@example.com\n", EmailError::Domain),
            (&long_label, EmailError::Domain),
            (&long_local, EmailError::Length),
        ] {
            assert_eq!(Email::parse(sent), Err(error), "{sent:?}");
        }
    }
}
