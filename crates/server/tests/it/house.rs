//! The rules of the house that no compiler keeps: which room may know which, who may ask the machine for what, and how
//! long a file may be.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A room of `crates/server/src`, and the only other rooms that it may name.
const MAY_NAME: [(&str, &[&str]); 12] = [
    ("main", &["cli"]),
    (
        "cli",
        &[
            "app", "auth", "clock", "error", "hash", "http", "random", "settings", "store",
        ],
    ),
    ("http", &["app", "auth", "error", "random", "store"]),
    ("auth", &["app", "error", "hash", "settings", "store"]),
    (
        "app",
        &["auth", "clock", "hash", "random", "settings", "store"],
    ),
    ("store", &["error"]),
    // What the layers below say is turned into the domain's words there.
    ("error", &["hash", "store"]),
    ("hash", &[]),
    ("settings", &[]),
    ("clock", &[]),
    ("random", &[]),
    ("lib", &[]),
];

/// Words of product code, and the only files that may have them.
const ALONE: [(&[&str], &[&str]); 5] = [
    (
        &["env::var", "env::vars", "dotenvy::"],
        &["crates/server/src/settings"],
    ),
    (
        &["SystemTime::now", "Timestamp::now", "Utc::now", "now_v7"],
        // Who checks tokens in another service has no clock of ours.
        &["crates/server/src/clock.rs", "crates/verify/src/axum.rs"],
    ),
    (
        &["SysRng", "thread_rng", "rand::rng("],
        &["crates/server/src/random.rs"],
    ),
    (
        &["rusqlite::", "tokio_postgres::"],
        &["crates/server/src/store", "crates/server/src/settings"],
    ),
    (&["axum::"], &["crates/server/src/http", "crates/verify"]),
];

const LONGEST_FILE: usize = 400;

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the repository")
}

/// Every `.rs` file below `place`, by its path from the root, with its text.
fn sources(place: &str) -> Vec<(String, String)> {
    let root = root();
    let mut folders = vec![root.join(place)];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a text");
                let name = path.strip_prefix(&root).expect("inside").to_owned();
                sources.push((name.to_str().expect("a plain name").to_owned(), text));
            }
        }
    }
    assert!(!sources.is_empty(), "{place}");
    sources.sort();
    sources
}

/// What the program itself is made of: no tests, no comments.
fn product(place: &str) -> Vec<(String, String)> {
    let is_product = |name: &str| name.contains("/src/") && !name.contains("/tests");
    let without_comments = |text: &str| {
        let program = text.split("#[cfg(test)]\nmod tests {").next();
        let lines = program.unwrap_or_default().lines();
        let code: Vec<_> = lines
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect();
        code.join("\n")
    };
    sources(place)
        .into_iter()
        .filter(|(name, _)| is_product(name))
        .map(|(name, text)| (name, without_comments(&text)))
        .collect()
}

/// The room of a file: `store` for `crates/server/src/store/users.rs`.
fn room(file: &str) -> &str {
    let inside = file
        .strip_prefix("crates/server/src/")
        .expect("of the server");
    let first = inside.split('/').next().expect("a name");
    first.strip_suffix(".rs").unwrap_or(first)
}

/// The rooms that a text names as `crate::room`, or as one of `crate::{room, …}`.
fn named(text: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for after in text.split("crate::").skip(1) {
        let names = match after.strip_prefix('{') {
            Some(group) => group.split('}').next().expect("the end of a group"),
            None => after,
        };
        let single = !after.starts_with('{');
        for name in names.split(',').take(if single { 1 } else { usize::MAX }) {
            let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let name = name.trim_start();
            let end = name.find(|c| !is_part(c)).unwrap_or(name.len());
            named.insert(name[..end].to_owned());
        }
    }
    named
}

#[test]
fn rooms_know_only_those_below_them() {
    let mut rooms = BTreeSet::new();
    for (file, text) in product("crates/server/src") {
        let room = room(&file);
        rooms.insert(room.to_owned());
        let (_, allowed) = MAY_NAME
            .iter()
            .find(|(name, _)| *name == room)
            .unwrap_or_else(|| panic!("{file}: no direction is set for the room {room}"));
        let text = text.replace("gatewright::", "crate::");
        for other in named(&text).iter().filter(|other| *other != room) {
            assert!(
                allowed.contains(&other.as_str()),
                "{file}: {room} must not know {other}"
            );
        }
    }
    let expected: BTreeSet<_> = MAY_NAME
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(rooms, expected, "a room of the list is gone");
}

#[test]
fn the_reader_of_directions_reads() {
    let text = "use crate::store::{User, Store};\nuse crate::{auth::login, clock};\nfn f() { crate::hash::go() }";
    let expected = ["auth", "clock", "hash", "store"].map(str::to_owned);
    assert_eq!(named(text), BTreeSet::from(expected));
}

/// A library that checks tokens must not bring a server along.
#[test]
fn libraries_never_depend_on_the_server() {
    for library in ["verify", "bcrypt-lanes"] {
        let manifest = root().join("crates").join(library).join("Cargo.toml");
        let manifest = fs::read_to_string(manifest).expect("a manifest");
        let mut dependencies = manifest.lines().filter(|line| !line.starts_with("name ="));
        let server = dependencies.find(|line| line.trim_start().starts_with("gatewright"));
        assert_eq!(server, None, "{library}");
    }
}

#[test]
fn the_machine_is_asked_in_one_place() {
    for (file, text) in product("crates") {
        for (words, places) in ALONE {
            let at_home = places.iter().any(|place| file.starts_with(place));
            for word in words.iter().filter(|_| !at_home) {
                assert!(!text.contains(word), "{file}: {word} belongs to {places:?}");
            }
        }
    }
    // A word that nobody writes any more would guard nothing.
    for (words, places) in ALONE {
        let used = product("crates").iter().any(|(file, text)| {
            places.iter().any(|place| file.starts_with(place))
                && words.iter().any(|word| text.contains(word))
        });
        assert!(used, "{words:?}");
    }
}

#[test]
fn files_fit_in_a_head() {
    for (file, text) in sources("crates") {
        let lines = text.lines().count();
        assert!(lines <= LONGEST_FILE, "{file} has {lines} lines");
    }
}
