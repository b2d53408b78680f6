//! JSON without the parts that two readers may understand differently.
//!
//! Beyond the grammar of RFC 8259 this refuses members that occur twice at any depth (names compared after
//! unescaping), more than 127 levels of nesting, lone surrogates, numbers beyond an `f64`, and bytes after the value.
//! Time and memory grow with the input, never with its square.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Why bytes are not what was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not UTF-8.
    #[error("not UTF-8")]
    Encoding,
    /// The text is not strict JSON. The message quotes nothing of it.
    #[error("not strict JSON: {0}")]
    Grammar(serde_json::Error),
    /// Strict JSON, but of another type than asked for. The message may quote a part of it.
    #[error("unexpected JSON: {0}")]
    Type(serde_json::Error),
}

/// Reads one JSON value of type `T`.
///
/// # Errors
/// See [`Error`].
pub fn from_slice<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Error> {
    let text = str::from_utf8(bytes).map_err(|_| Error::Encoding)?;
    serde_json::from_str::<Checked>(text).map_err(Error::Grammar)?;
    serde_json::from_str(text).map_err(Error::Type)
}

/// Reads one JSON object.
///
/// # Errors
/// See [`Error`].
pub fn object(bytes: &[u8]) -> Result<Map<String, Value>, Error> {
    from_slice(bytes)
}

/// What a token's header or payload may hold. Other members are read strictly and dropped.
pub(crate) struct Shape<const TEXTS: usize, const INTEGERS: usize> {
    pub(crate) texts: [&'static str; TEXTS],
    pub(crate) integers: [&'static str; INTEGERS],
    pub(crate) refused: &'static [&'static str],
}

/// The members that were found, in the order of their [`Shape`].
pub(crate) struct Members<'de, const TEXTS: usize, const INTEGERS: usize> {
    pub(crate) texts: [Option<Cow<'de, str>>; TEXTS],
    pub(crate) integers: [Option<i64>; INTEGERS],
}

/// Why [`members`] refuses.
#[derive(Debug, PartialEq)]
pub(crate) enum MembersError {
    /// Not one strict JSON object.
    Json,
    /// This member has the wrong type or is among the refused.
    Member(&'static str),
}

/// Reads an object in one pass. A member of the wrong type, `null` included, is refused and never taken for absent.
pub(crate) fn members<'de, const TEXTS: usize, const INTEGERS: usize>(
    bytes: &'de [u8],
    shape: &Shape<TEXTS, INTEGERS>,
) -> Result<Members<'de, TEXTS, INTEGERS>, MembersError> {
    let text = str::from_utf8(bytes).map_err(|_| MembersError::Json)?;
    let mut culprit = None;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let reader = MembersReader {
        shape,
        culprit: &mut culprit,
    };
    reader
        .deserialize(&mut deserializer)
        .and_then(|members| deserializer.end().map(|()| members))
        .map_err(|error| match culprit {
            Some(name) if error.is_data() => MembersError::Member(name),
            _ => MembersError::Json,
        })
}

struct MembersReader<'a, const TEXTS: usize, const INTEGERS: usize> {
    shape: &'a Shape<TEXTS, INTEGERS>,
    /// The known member that is being read, for the error.
    culprit: &'a mut Option<&'static str>,
}

impl<'de, const TEXTS: usize, const INTEGERS: usize> DeserializeSeed<'de>
    for MembersReader<'_, TEXTS, INTEGERS>
{
    type Value = Members<'de, TEXTS, INTEGERS>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, const TEXTS: usize, const INTEGERS: usize> Visitor<'de>
    for MembersReader<'_, TEXTS, INTEGERS>
{
    type Value = Members<'de, TEXTS, INTEGERS>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Members {
            texts: [const { None }; TEXTS],
            integers: [None; INTEGERS],
        };
        let mut others = BTreeSet::new();
        while let Some(Text(name)) = map.next_key()? {
            if let Some(index) = position(&self.shape.texts, &name) {
                *self.culprit = Some(self.shape.texts[index]);
                let Text(text) = map.next_value()?;
                *self.culprit = None;
                fill(&mut found.texts[index], text)?;
            } else if let Some(index) = position(&self.shape.integers, &name) {
                *self.culprit = Some(self.shape.integers[index]);
                let integer = map.next_value()?;
                *self.culprit = None;
                fill(&mut found.integers[index], integer)?;
            } else if let Some(index) = position(self.shape.refused, &name) {
                *self.culprit = Some(self.shape.refused[index]);
                return Err(de::Error::custom("a refused member"));
            } else {
                map.next_value::<Checked>()?;
                remember(&mut others, name)?;
            }
        }
        Ok(found)
    }
}

fn position(names: &[&'static str], name: &str) -> Option<usize> {
    names.iter().position(|known| *known == name)
}

fn fill<T, E: de::Error>(slot: &mut Option<T>, value: T) -> Result<(), E> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(duplicate()),
    }
}

fn remember<'de, E: de::Error>(
    names: &mut BTreeSet<Cow<'de, str>>,
    name: Cow<'de, str>,
) -> Result<(), E> {
    if names.insert(name) {
        Ok(())
    } else {
        Err(duplicate())
    }
}

fn duplicate<E: de::Error>() -> E {
    E::custom("a member occurs twice")
}

/// A string, borrowed from the input unless it holds an escape.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Any value, read through to its leaves and dropped. (serde's `IgnoredAny` skips strings without decoding them.)
struct Checked;

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CheckedVisitor)
    }
}

struct CheckedVisitor;

impl<'de> Visitor<'de> for CheckedVisitor {
    type Value = Checked;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_str<E>(self, _: &str) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Checked, A::Error> {
        while elements.next_element::<Checked>()?.is_some() {}
        Ok(Checked)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Checked, A::Error> {
        let mut names = BTreeSet::new();
        while let Some(Text(name)) = map.next_key()? {
            remember(&mut names, name)?;
            map.next_value::<Checked>()?;
        }
        Ok(Checked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape<1, 1> = Shape {
        texts: ["text"],
        integers: ["integer"],
        refused: &["refused"],
    };

    fn read(json: &str) -> Result<(Option<String>, Option<i64>), MembersError> {
        let Members {
            texts: [text],
            integers: [integer],
        } = members(json.as_bytes(), &SHAPE)?;
        Ok((text.map(Cow::into_owned), integer))
    }

    #[test]
    fn members_are_found_in_any_order_and_form() {
        assert_eq!(read("{}"), Ok((None, None)));
        assert_eq!(
            read(r#" {"other":{"integer":"x"},"integer":-5, "text":"a"} "#),
            Ok((Some("a".into()), Some(-5)))
        );
        assert_eq!(
            read(r#"{"t\u0065xt":"\u00e9\n"}"#),
            Ok((Some("é\n".into()), None))
        );
    }

    // SEC-27
    #[test]
    fn a_wrong_type_is_never_absent() {
        for value in ["null", "1", "true", "[]", "{}", r#"["a"]"#] {
            assert_eq!(
                read(&format!(r#"{{"text":{value}}}"#)),
                Err(MembersError::Member("text")),
                "{value}"
            );
        }
        for value in [
            "null",
            "\"1\"",
            "1.0",
            "1e3",
            "-0.5",
            "true",
            "[1]",
            "{}",
            "9223372036854775808",
            "1e99",
        ] {
            assert_eq!(
                read(&format!(r#"{{"integer":{value}}}"#)),
                Err(MembersError::Member("integer")),
                "{value}"
            );
        }
        assert_eq!(
            read(r#"{"refused":null}"#),
            Err(MembersError::Member("refused"))
        );
    }

    // SEC-26
    #[test]
    fn other_than_one_strict_object_is_refused() {
        for json in [
            "",
            "null",
            "[]",
            "\"text\"",
            "1",
            "{",
            r#"{"text":"#,
            r#"{"text":"a"}x"#,
            r#"{"text":"a"}{}"#,
            "\u{feff}{}",
            r#"{"text":"a","text":"a"}"#,
            r#"{"text":"a","te\u0078t":"b"}"#,
            r#"{"integer":1,"integer":1}"#,
            r#"{"other":1,"other":1}"#,
            r#"{"other":{"deep":[{"a":1,"a":2}]}}"#,
            r#"{"text":"\ud800"}"#,
            r#"{"other":"\ud800"}"#,
            r#"{"text":"a",}"#,
            r#"{'text':'a'}"#,
            r#"{"text":"a"/**/}"#,
            r#"{"integer":01}"#,
            r#"{"integer":1e999}"#,
        ] {
            assert_eq!(read(json), Err(MembersError::Json), "{json}");
        }
        assert!(members(b"{\"text\":\"\xff\"}", &SHAPE).is_err());
    }
}
