//! The blocklist of password policy `nist` (SEC-02): passwords long enough for the policy, yet among an attacker's
//! first guesses (NIST SP 800-63B-4 §3.1.1.2). The list holds what people type; [`contains`] adds the spellings,
//! endings and keyboard walks that no list can hold in full.
//!
//! How `common_passwords.txt` was made. The source is the list of leaked passwords, most frequent first, in the npm
//! package `@zxcvbn-ts/language-common` 4.1.3 (`src/passwords.json`). Every entry is in lower case, has letters and
//! digits alone and is at least 15 characters long; the lines are sorted by byte and unique. They are:
//!
//! - every leaked password of the source that has 15 letters and digits or more (39);
//! - the source's first 4,000 passwords of 4 to 14 characters that have a letter ("bases"), each written as many
//!   times as it takes to reach 15 characters, twice at least; of the first 400, those of 8 characters or more also
//!   three times;
//! - the first 60 bases made of letters alone, each followed by each other, filled up to 15 characters with 123…;
//! - the first 200 bases, each followed by 1234567890, 2024, 2025 or 2026 where that makes 15 characters, and each
//!   filled up to 15 characters with 123…;
//! - about 120 stock phrases, written for this file ("this is my password"), filled up in the same way.
//!
//! The source's licence, which covers the leaked passwords and their order:
//!
//! > Copyright (c) 2012-2016 Dan Wheeler and Dropbox, Inc.
//! > Copyright (c) 2021 @zxcvbn-ts
//! >
//! > Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
//! > documentation files (the "Software"), to deal in the Software without restriction, including without limitation
//! > the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and
//! > to permit persons to whom the Software is furnished to do so, subject to the following conditions:
//! >
//! > The above copyright notice and this permission notice shall be included in all copies or substantial portions of
//! > the Software.
//! >
//! > THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO
//! > THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
//! > AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF
//! > CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS
//! > IN THE SOFTWARE.

use std::collections::HashSet;
use std::sync::LazyLock;

/// Sorted by byte, for [`begins_a_listed`].
static LISTED: LazyLock<Vec<&str>> =
    LazyLock::new(|| include_str!("common_passwords.txt").lines().collect());

/// Three characters in a row of [`WALKS`], in either direction.
static STEPS: LazyLock<HashSet<[char; 3]>> = LazyLock::new(steps);

/// Sequences that fingers and memory follow: digits, the alphabet, keyboard rows (US with Shift, French, German,
/// Russian), columns, and two rows in turn.
const WALKS: [&str; 28] = [
    "0123456789012",
    "abcdefghijklmnopqrstuvwxyzab",
    "qwertyuiop[]",
    "asdfghjkl;'",
    "zxcvbnm,./",
    "!@#$%^&*()_+",
    "azertyuiop",
    "qsdfghjklm",
    "wxcvbn",
    "qwertzuiop",
    "yxcvbnm",
    "йцукенгшщзхъ",
    "фывапролджэ",
    "ячсмитьбю",
    "1qaz",
    "2wsx",
    "3edc",
    "4rfv",
    "5tgb",
    "6yhn",
    "7ujm",
    "8ik,",
    "9ol.",
    "0p;/",
    "1q2w3e4r5t6y7u8i9o0p",
    "q1w2e3r4t5y6u7i8o9p0",
    "qawsedrftgyhujikolp",
    "1a2b3c4d5e6f7g8h9i",
];

/// Fewer characters than this add little to a listed word: nobody would accept them as a password.
const LITTLE: usize = 8;
/// The same beside runs alone. It is lower because runs of three come about by chance, even in good passwords.
const LITTLE_BESIDE_RUNS: usize = 6;
/// Shorter words begin too many innocent passwords.
const SHORTEST_WORD: usize = 4;
/// The longest unit whose repetition counts as predictable.
const LONGEST_UNIT: usize = 4;

/// Whether a password is among the first guesses: a listed one in any spelling, or one of which hardly anything is
/// left without a listed beginning, repetition and runs such as `12345` or `qwerty`.
pub(super) fn contains(password: &str) -> bool {
    let lower = password.to_lowercase();
    let folded = fold(password);
    let long = folded.chars().count() >= LITTLE;
    unpredictable(&lower) < LITTLE_BESIDE_RUNS
        || is_listed_word_with_ends(&lower)
        || (long && (unpredictable(&folded) == 0 || begins_a_listed(&folded)))
}

/// `password` of `123password2026!!`: what stands from the first letter to the last is listed, the rest is little.
fn is_listed_word_with_ends(lower: &str) -> bool {
    let word = lower.trim_matches(|character: char| !character.is_alphabetic());
    let Some((head, tail)) = lower.split_once(word) else {
        return false;
    };
    let ends = unpredictable(head) + unpredictable(tail);
    [fold(word), fold(&unleet(word))].iter().any(|letters| {
        let kept = letters.chars().count();
        let separators = word.chars().count().saturating_sub(kept);
        kept >= SHORTEST_WORD && separators + ends < LITTLE && begins_a_listed(letters)
    })
}

/// Whether a listed password is or begins with these letters, as `monkeymonkeymonkey` does with `monkeymonkey`.
fn begins_a_listed(letters: &str) -> bool {
    let position = LISTED.partition_point(|listed| *listed < letters);
    LISTED
        .get(position)
        .is_some_and(|listed| listed.starts_with(letters))
}

/// The letters that `p@$$w0rd` stands for.
fn unleet(word: &str) -> String {
    let letter = |character| match character {
        '@' | '4' => 'a',
        '3' => 'e',
        '1' | '!' => 'i',
        '0' => 'o',
        '$' | '5' => 's',
        '7' => 't',
        other => other,
    };
    word.chars().map(letter).collect()
}

/// How many characters belong neither to a repetition nor to a run of three or more.
fn unpredictable(text: &str) -> usize {
    let characters: Vec<char> = text.chars().collect();
    if repeats_a_short_unit(&characters) {
        return 0;
    }
    let mut predictable = vec![false; characters.len()];
    for (start, window) in characters.windows(3).enumerate() {
        let is_step = <[char; 3]>::try_from(window).is_ok_and(|step| STEPS.contains(&step));
        if is_step || (window[0] == window[1] && window[1] == window[2]) {
            predictable[start..start + 3].fill(true);
        }
    }
    predictable
        .into_iter()
        .filter(|predictable| !predictable)
        .count()
}

/// `abcabcabcabcabca`: one unit over and over, the last time perhaps cut short.
fn repeats_a_short_unit(characters: &[char]) -> bool {
    let repeats = |unit: usize| {
        characters
            .iter()
            .zip(characters.iter().skip(unit))
            .all(|(one, next)| one == next)
    };
    (1..=LONGEST_UNIT).any(|unit| characters.len() >= 2 * unit && repeats(unit))
}

fn steps() -> HashSet<[char; 3]> {
    let mut steps = HashSet::new();
    for walk in WALKS {
        let keys: Vec<char> = walk.chars().collect();
        for step in keys.windows(3) {
            steps.insert([step[0], step[1], step[2]]);
            steps.insert([step[2], step[1], step[0]]);
        }
    }
    steps
}

/// Lower case and without separators: the spellings that people count as the same word.
pub(super) fn fold(text: &str) -> String {
    let letters = text.chars().filter(|character| character.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NIST SP 800-63B-4 §3.1.1.2, where the password is the only factor.
    const LENGTH_RULE: usize = 15;

    #[test]
    fn list_is_long_enough_and_well_formed() {
        // SEC-02
        assert!(LISTED.len() >= 3_000, "{} entries", LISTED.len());
        assert!(
            LISTED.is_sorted_by(|one, next| one < next),
            "sorted and unique"
        );
        for listed in LISTED.iter() {
            assert!(listed.chars().count() >= LENGTH_RULE, "{listed}");
            assert_eq!(fold(listed), *listed);
            assert!(contains(listed), "{listed}");
        }
    }

    #[test]
    fn common_passwords_are_found_in_every_spelling() {
        // SEC-02
        let listed = [
            "PasswordPassword",
            "PASSWORD-password",
            "p.a.s.s.w.o.r.d.",
            "This is my password",
            "MailCreated5240",
        ];
        let with_ends = [
            "password1234567",
            "Password2026!!!",
            "password!!!!!!!",
            "123Password456789",
            "love!!!!!!!!!!!",
        ];
        let leet = ["P@ssw0rdP@ssw0rd", "p@$$w0rd12345678", "l3tm31nl3tm31n2026"];
        let walks = [
            "qwertyuiopasdfgh",
            "1qaz2wsx3edc4rfv",
            "zxcvbnmlkjhgfdsa",
            "1234qwerASDFzxcv",
            "!@#$%^&*()_+!@#",
        ];
        let runs = [
            "012345678901234",
            "abcdefghijklmno",
            "1 2 3 4 5 6 7 8",
            "z x c v b n m l k j h g",
            "1234-5678-9012-3456",
        ];
        let repetitions = [
            "aaaaaaaaaaaaaaa",
            "AbcAbcAbcAbcAbca",
            "ab1!ab1!ab1!ab1!",
            "!!!!!!!!!!!!!!!",
            "тесттесттесттест",
        ];
        for common in [listed, with_ends, walks, runs, repetitions]
            .into_iter()
            .flatten()
            .chain(leet)
        {
            assert!(common.chars().count() >= LENGTH_RULE, "{common}");
            assert!(contains(common), "{common}");
        }
    }

    #[test]
    fn good_passwords_are_not_found() {
        // SEC-02
        let phrases = [
            "correct horse battery staple",
            "annabel lee likes the sea",
            "seven dragons bake bread",
            "my password is a tall blue heron",
            "12345 little ducks went swimming",
            "summer rain on tin roofs",
        ];
        let generated = [
            "kX9#mQ2$vL7@pR4!",
            "hkzvqmwtrbxnpfly",
            "7391846205517392",
            "f3a9c07be1d8425f",
            "love#%^@!*&$(]{~",
            "ben739184655555",
        ];
        for good in phrases.into_iter().chain(generated) {
            assert!(!contains(good), "{good}");
        }
    }

    #[test]
    fn odd_input_is_no_trouble() {
        assert!(contains(""));
        assert!(!contains("漢字仮名交文章読書百科事典"));
        assert!(!contains("🦀🐙🦑🐠🐡🐬🐳🦈🐊🐅🐆🦓🦍🦧🐘"));
    }
}
