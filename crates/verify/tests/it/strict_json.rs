//! The strict reader against JSONTestSuite (`tests/vectors/SOURCES.md`) and against serde_json.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Instant;

use gatewright_verify::strict_json::{self, Error};
use proptest::prelude::*;
use serde_json::Value;

#[test]
fn the_json_test_suite_agrees() {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/JSONTestSuite/test_parsing");
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let accepted = strict_json::from_slice::<Value>(&fs::read(&path).unwrap()).is_ok();
        match name.as_bytes()[0] {
            // A duplicate is within the grammar; two readers may take different ones.
            b'y' => assert_eq!(
                accepted,
                !name.starts_with("y_object_duplicated_key"),
                "{name}"
            ),
            b'n' => assert!(!accepted, "{name}"),
            // Left to the implementation; reading it must merely end.
            _ => assert!(name.starts_with("i_"), "{name}"),
        }
        files += 1;
    }
    assert_eq!(files, 318);
}

#[test]
fn what_two_readers_may_understand_differently_is_refused() {
    for json in [
        &br#"{"a":1,"a":1}"#[..],
        br#"{"a":1,"\u0061":2}"#,
        br#"[{"a":{"b":1,"b":2}}]"#,
        br#"{"a":"\ud800"}"#,
        br#"{"\udc00":1}"#,
        b"{\"a\":\"\xc0\x80\"}",
        b"{\"a\":\"\xed\xa0\x80\"}",
        b"\xef\xbb\xbf{}",
        b"{}\0",
        b"{} {}",
        br#"{"a":1e999}"#,
        b"",
    ] {
        assert!(strict_json::object(json).is_err(), "{json:?}");
    }
    assert!(matches!(strict_json::object(b"\xff"), Err(Error::Encoding)));
    assert!(matches!(strict_json::object(b"[]"), Err(Error::Type(_))));
    assert!(matches!(strict_json::object(b"{"), Err(Error::Grammar(_))));
    assert_eq!(
        strict_json::object(br#" {"a":[1,"\ud83d\ude00"]} "#).unwrap()["a"][1],
        "😀"
    );
}

// SEC-68
#[test]
fn nesting_ends_at_128() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(strict_json::from_slice::<Value>(nested(127).as_bytes()).is_ok());
    assert!(strict_json::from_slice::<Value>(nested(128).as_bytes()).is_err());
    assert!(strict_json::from_slice::<Value>("[".repeat(65_536).as_bytes()).is_err());
}

#[test]
fn ten_times_the_members_take_about_ten_times_as_long() {
    let seconds = |members: usize| {
        let mut json = String::from("{");
        for index in 0..members {
            write!(json, "\"member{index}\":0,").unwrap();
        }
        json.push_str("\"last\":0}");
        let fastest = (0..5).map(|_| {
            let start = Instant::now();
            assert_eq!(
                strict_json::object(json.as_bytes()).unwrap().len(),
                members + 1
            );
            start.elapsed().as_secs_f64()
        });
        fastest.fold(f64::MAX, f64::min)
    };
    // Quadratic would be a hundredfold.
    let ratio = seconds(20_000) / seconds(2_000);
    assert!(ratio < 50.0, "{ratio}");
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|members| members.into_iter().collect::<Value>()),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_serde_json_writes_is_read_back(value in json()) {
        let text = value.to_string();
        prop_assert_eq!(strict_json::from_slice::<Value>(text.as_bytes()).unwrap(), value);
    }

    #[test]
    fn any_bytes_are_read_or_refused_as_serde_json_does(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if strict_json::from_slice::<Value>(&bytes).is_ok() {
            prop_assert!(serde_json::from_slice::<Value>(&bytes).is_ok());
        }
    }

    #[test]
    fn a_second_member_of_the_same_name_is_refused(
        members in prop::collection::btree_map("[a-z]{1,8}", any::<i64>(), 1..20),
        chosen in any::<prop::sample::Index>(),
        depth in 0_usize..5,
    ) {
        let wrap = |object: &str| format!("{}{object}{}", "{\"x\":[".repeat(depth), "]}".repeat(depth));
        let members: BTreeMap<String, i64> = members;
        let object = serde_json::to_string(&members).unwrap();
        prop_assert!(strict_json::object(wrap(&object).as_bytes()).is_ok());

        let again = members.keys().nth(chosen.index(members.len())).unwrap();
        let twice = format!("{},\"{again}\":null}}", &object[..object.len() - 1]);
        prop_assert!(strict_json::object(wrap(&twice).as_bytes()).is_err());
    }
}
