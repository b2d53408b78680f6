//! Where values come from: flags, the process environment, `.env`, and files that `NAME_FILE` points to.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    str::SplitInclusive,
};

use serde::Serialize;
use zeroize::Zeroizing;

use super::definitions::{DEFINITIONS, Definition, SettingsFlags};

/// Names that begin so are ours alone: an unknown one is a mistake.
const OWN_PREFIX: &str = "GATEWRIGHT_";
/// Far more than any secret or address needs; keeps a wrong path such as a device from filling the memory.
const FILE_BYTES_MAXIMUM: u64 = 64 * 1024;
/// More edits than this and a known name is hardly what was meant.
const SUGGESTION_EDITS_MAXIMUM: usize = 5;

/// Everything outside the command line that settings are read from.
#[derive(Clone, Default)]
pub struct Sources {
    /// The variables of the process.
    pub environment: Vec<(OsString, OsString)>,
    /// The `.env` file; it need not exist.
    pub dot_env: Option<PathBuf>,
}

impl Sources {
    /// The environment of this process and `.env` in its working directory.
    pub fn of_process() -> Self {
        Self {
            environment: std::env::vars_os().collect(),
            dot_env: Some(".env".into()),
        }
    }
}

/// What decided a setting's value, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A command-line flag.
    Flag,
    /// A variable of the process.
    Environment,
    /// A line of `.env`.
    #[serde(rename = ".env")]
    DotEnv,
    /// The file that the variable's `_FILE` form names, be that in the environment or in `.env`.
    File,
    /// Nothing was given.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::DotEnv => ".env",
            Self::File => "file",
            Self::Default => "default",
        })
    }
}

/// A value as it was given.
pub(super) struct Given {
    /// The variable to name in a message: `NAME` or `NAME_FILE`.
    pub(super) name: String,
    pub(super) text: Zeroizing<String>,
    pub(super) source: Source,
}

/// The sources read once, with only our names kept.
pub(super) struct Inputs<'a> {
    flags: &'a SettingsFlags,
    environment: BTreeMap<String, OsString>,
    dot_env: BTreeMap<String, String>,
}

impl<'a> Inputs<'a> {
    /// Reads `.env` and looks for unknown names, each of which adds one line to `problems`.
    ///
    /// # Errors
    /// The line for a `.env` that cannot be read through; nothing can be said about the settings then.
    pub(super) fn collect(
        flags: &'a SettingsFlags,
        sources: &Sources,
        problems: &mut Vec<String>,
    ) -> Result<Self, String> {
        let known = known_names();
        let mut unknown = BTreeSet::new();
        let mut environment = BTreeMap::new();
        for (name, value) in &sources.environment {
            let name = name.to_string_lossy().into_owned();
            if known.contains(&name) {
                environment.insert(name, value.clone());
            } else if is_own(&name) {
                unknown.insert(name);
            }
        }
        let mut dot_env = BTreeMap::new();
        if let Some(path) = &sources.dot_env {
            let mut keep = |entry: DotEnvEntry| {
                if !known.contains(&entry.name) {
                    if is_own(&entry.name) {
                        unknown.insert(entry.name);
                    }
                    return Ok(());
                }
                entry.check_dollars()?;
                match dot_env.insert(entry.name.clone(), entry.value) {
                    None => Ok(()),
                    Some(_) => Err(format!(
                        "{}: is set a second time at line {} of .env",
                        entry.name, entry.line
                    )),
                }
            };
            read_dot_env(path, &mut keep)?;
        }
        problems.extend(unknown.iter().map(|name| unknown_name(name)));
        Ok(Self {
            flags,
            environment,
            dot_env,
        })
    }

    /// The strongest value of a setting, or `None` when its default holds.
    ///
    /// # Errors
    /// The whole line for the person: not UTF-8, an unreadable file, or `NAME` together with `NAME_FILE`.
    pub(super) fn find(&self, definition: &Definition) -> Result<Option<Given>, String> {
        if let Some(value) = self.flags.value(definition.name) {
            return given(definition.name, value, Source::Flag).map(Some);
        }
        let direct = self.variable(definition.name)?;
        let Some(file_name) = definition.file_name() else {
            return Ok(direct);
        };
        match (direct, self.variable(&file_name)?) {
            (Some(_), Some(_)) => Err(format!(
                "{}: is set together with {file_name}; keep one of them",
                definition.name
            )),
            (None, Some(path)) if path.text.is_empty() => Err(format!("{file_name}: is empty")),
            (None, Some(path)) => Ok(Some(Given {
                text: read_value_file(Path::new(path.text.as_str()))
                    .map_err(|problem| format!("{file_name}: {problem}"))?,
                name: file_name,
                source: Source::File,
            })),
            (direct, None) => Ok(direct),
        }
    }

    fn variable(&self, name: &str) -> Result<Option<Given>, String> {
        if let Some(value) = self.environment.get(name) {
            return given(name, value, Source::Environment).map(Some);
        }
        Ok(self.dot_env.get(name).map(|value| Given {
            name: name.to_owned(),
            text: Zeroizing::new(value.clone()),
            source: Source::DotEnv,
        }))
    }
}

fn given(name: &str, value: &OsString, source: Source) -> Result<Given, String> {
    let text = value
        .to_str()
        .ok_or_else(|| format!("{name}: is not valid UTF-8"))?;
    Ok(Given {
        name: name.to_owned(),
        text: Zeroizing::new(text.to_owned()),
        source,
    })
}

/// The file's text without the one line break that ends it. Messages leave the path out: it may be a secret that was
/// put in the wrong variable.
fn read_value_file(path: &Path) -> Result<Zeroizing<String>, String> {
    let mut text = Zeroizing::new(String::new());
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAXIMUM + 1).read_to_string(&mut text))
        .map_err(|error| format!("the file cannot be read: {error}"))?;
    if text.len() as u64 > FILE_BYTES_MAXIMUM {
        return Err(format!(
            "the file is longer than {FILE_BYTES_MAXIMUM} bytes"
        ));
    }
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

struct DotEnvEntry {
    name: String,
    value: String,
    /// The line on which the entry ends, counted from 1.
    line: usize,
    dollars_written: usize,
}

impl DotEnvEntry {
    /// dotenvy replaces `$NAME` by another variable, often by nothing, which would quietly shorten a secret.
    fn check_dollars(&self) -> Result<(), String> {
        match self.value.matches('$').count() == self.dollars_written {
            true => Ok(()),
            false => Err(format!(
                "{}: has a $ at line {} of .env, which is kept only in a value between single quotes",
                self.name, self.line
            )),
        }
    }
}

/// Hands every entry of the file to `keep`, up to the first problem. No message repeats a value.
fn read_dot_env(
    path: &Path,
    keep: &mut impl FnMut(DotEnvEntry) -> Result<(), String>,
) -> Result<(), String> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!(".env: cannot be read: {error}")),
    };
    let text = str::from_utf8(&bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!(".env: line {line} is not valid UTF-8")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines_read = Cell::new(0);
    let lines = LineReader {
        lines: text.split_inclusive('\n'),
        lines_read: &lines_read,
        rest: &[],
    };
    let mut previous = 0;
    // The line break covers a last line that lacks one, which dotenvy refuses after trailing space.
    for entry in dotenvy::from_read_iter(lines.chain(&b"\n"[..])) {
        let line = lines_read.get();
        let (name, value) = entry.map_err(|_| {
            format!(
                ".env: line {line} is not NAME=value; a value with spaces or special characters belongs between \
                 single quotes"
            )
        })?;
        let written = text.lines().skip(previous).take(line - previous);
        let dollars_written = written
            .filter(|written| !written.trim_start().starts_with('#'))
            .map(|written| written.matches('$').count())
            .sum();
        previous = line;
        keep(DotEnvEntry {
            name,
            value,
            line,
            dollars_written,
        })?;
    }
    Ok(())
}

/// Gives out at most one line at a time, so that the number of the line a parser has come to is known.
struct LineReader<'a> {
    lines: SplitInclusive<'a, char>,
    lines_read: &'a Cell<usize>,
    rest: &'a [u8],
}

impl Read for LineReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty()
            && let Some(line) = self.lines.next()
        {
            self.rest = line.as_bytes();
            self.lines_read.update(|count| count + 1);
        }
        self.rest.read(buffer)
    }
}

fn known_names() -> BTreeSet<String> {
    DEFINITIONS
        .iter()
        .flat_map(|definition| [Some(definition.name.to_owned()), definition.file_name()])
        .flatten()
        .collect()
}

fn is_own(name: &str) -> bool {
    name.to_ascii_uppercase().starts_with(OWN_PREFIX)
}

fn unknown_name(name: &str) -> String {
    let upper_case = name.to_ascii_uppercase();
    let is_of_kubernetes = ["GATEWRIGHT_PORT_", "GATEWRIGHT_SERVICE_"]
        .iter()
        .any(|prefix| upper_case.starts_with(prefix));
    // A prefix too many, as in GATEWRIGHT_HOST, is no further off than a typo.
    let meant = upper_case.trim_start_matches(OWN_PREFIX);
    let nearest = DEFINITIONS
        .iter()
        .map(|definition| definition.name)
        .map(|known| (edits(meant, known.trim_start_matches(OWN_PREFIX)), known))
        .min()
        .filter(|(edits, _)| *edits <= SUGGESTION_EDITS_MAXIMUM);
    let advice = match nearest {
        _ if is_of_kubernetes => {
            "Kubernetes sets it for a Service called gatewright unless enableServiceLinks is false"
                .to_owned()
        }
        Some((_, known)) => format!("did you mean {known}?"),
        None => "gatewright --help lists them all".to_owned(),
    };
    format!("{}: is not a setting; {advice}", name.escape_debug())
}

/// The least number of characters to insert, delete or replace (Levenshtein).
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (from_index, from_byte) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = from_index + 1;
        for (to_index, to_byte) in to.bytes().enumerate() {
            let replaced = diagonal + usize::from(from_byte != to_byte);
            diagonal = row[to_index + 1];
            row[to_index + 1] = replaced.min(diagonal + 1).min(row[to_index] + 1);
        }
    }
    row[to.len()]
}
