//! The documents say what is true of the code.

use std::fs;
use std::path::{Path, PathBuf};

use gatewright::error::Error;
use gatewright::settings::settings_help;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn document(name: &str) -> String {
    fs::read_to_string(root().join(name)).expect(name)
}

/// The cells of every table row that begins with `start`.
fn rows<'a>(text: &'a str, start: &str) -> Vec<Vec<&'a str>> {
    text.lines()
        .filter(|line| line.starts_with(start))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect()
}

/// What stands between back ticks.
fn code_spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

// T065
#[test]
fn every_error_has_its_sentence() {
    let text = document("docs/errors.md");
    let rows = rows(&text, "| `");
    for error in Error::catalogue() {
        let row = rows
            .iter()
            .find(|row| row[0] == format!("`{}`", error.code()))
            .unwrap_or_else(|| panic!("{} has no row", error.code()));
        // The fields' messages have a table of their own.
        let has_many = matches!(error, Error::Invalid(_));
        assert!(
            has_many || code_spans(row[2]).any(|span| span == error.detail()),
            "{}: {}",
            error.code(),
            error.detail()
        );
    }
}

#[test]
fn the_readme_lists_every_setting_with_its_default() {
    let text = document("README.md");
    let rows = rows(&text, "| `");
    let help = settings_help();
    let lines: Vec<_> = help.lines().skip(1).collect();
    for setting in lines.chunks(2) {
        let (name, _) = setting[0].trim().split_once('=').expect("NAME=FORM");
        let (_, default) = setting[1].rsplit_once("[default: ").expect("a default");
        let default = default.trim_end_matches(']');
        let row = rows
            .iter()
            .find(|row| code_spans(row[0]).any(|span| span == name))
            .unwrap_or_else(|| panic!("{name} has no row"));
        let shown = match default {
            "none" => row[1] == "–" || row[1] == "required by `serve`",
            "empty" => row[1] == "empty",
            "false in serve, true in dev" => row[1] == "`false`, in `dev` `true`",
            _ => row[1] == format!("`{default}`"),
        };
        assert!(shown, "{name}: {default}, but the README says {}", row[1]);
    }
}

// T064, T068
#[test]
fn the_tests_that_prove_the_specification_are_there() {
    let text = document("docs/spec-map.md");
    let tasks = rows(&text, "| T0");
    let numbers: Vec<_> = tasks.iter().map(|cells| cells[0].to_owned()).collect();
    let expected: Vec<_> = (1..=70).map(|number| format!("T{number:03}")).collect();
    assert_eq!(numbers, expected);
    for cells in tasks {
        // "Done by" and "Proven by": files, each perhaps followed by a test that is in it.
        let mut source = String::new();
        for span in cells[2..].iter().flat_map(|cell| code_spans(cell)) {
            if span.contains('/') || span.contains('.') {
                let path = root().join(span);
                assert!(path.exists(), "{}: {span}", cells[0]);
                source = fs::read_to_string(path).unwrap_or_default();
            } else if span.contains('_') {
                assert!(
                    source.contains(&format!("fn {span}(")),
                    "{}: {span}",
                    cells[0]
                );
            }
        }
    }
}
