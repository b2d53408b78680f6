//! Display names.

/// A display name: 1 to 100 characters without control characters, white space trimmed at both ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayName(String);

/// Why a text is no display name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is left after trimming.
    #[error("Name must not be empty")]
    Empty,
    /// It has more than 100 characters.
    #[error("Name must be at most 100 characters")]
    TooLong,
    /// It has a control character, U+0000 among them.
    #[error("Name must not contain control characters")]
    Control,
}

const LONGEST: usize = 100;

impl DisplayName {
    /// Trims Unicode white space and checks the rest.
    ///
    /// # Errors
    /// [`NameError`] names the rule that failed.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(NameError::Empty);
        }
        if trimmed.chars().count() > LONGEST {
            return Err(NameError::TooLong);
        }
        if trimmed.chars().any(char::is_control) {
            return Err(NameError::Control);
        }
        Ok(Self(trimmed.to_owned()))
    }

    /// The trimmed text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let hundred = "ü".repeat(100);
        for (sent, expected) in [
            ("Ann", Ok("Ann")),
            ("\u{3000} Ann Lee\t", Ok("Ann Lee")),
            (hundred.as_str(), Ok(hundred.as_str())),
            ("", Err(NameError::Empty)),
            (" \u{a0}\n", Err(NameError::Empty)),
            ("An\0n", Err(NameError::Control)),
            ("An\u{1b}[31mn", Err(NameError::Control)),
            (&"a".repeat(101), Err(NameError::TooLong)),
        ] {
            assert_eq!(
                DisplayName::parse(sent).as_ref().map(DisplayName::as_str),
                expected.as_ref().copied(),
                "{sent:?}"
            );
        }
    }
}
