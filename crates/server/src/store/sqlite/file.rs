//! The SQLite file: made whole or not at all, and looked at before it is trusted.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::PATIENCE;
use crate::store::migrate;

/// The first SQLite release without the WAL-reset corruption (3.7.0 to 3.51.2).
const OLDEST_SAFE_SQLITE: i32 = 3_051_003;
/// Marks a file as ours: "gate" in ASCII.
const APPLICATION_ID: i32 = 0x6761_7465;

/// Why an SQLite file was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file or its directory cannot be used.
    #[error("{path}: {source}")]
    File {
        /// The file as it was named.
        path: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file can be read by everybody.
    #[error("{0}: other users of this machine may read it; run: chmod 600 {0}")]
    Exposed(String),
    /// The file is there, but it is not a Gatewright database.
    #[error(
        "{0}: not a Gatewright database; it is left as it is (a new one is made only where no file exists)"
    )]
    Foreign(String),
    /// SQLite would not open or read it.
    #[error("{path}: {source}")]
    Sqlite {
        /// The file as it was named.
        path: String,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The SQLite library linked in can corrupt a file.
    #[error("SQLite {0} is linked, but 3.51.3 or newer is needed (WAL-reset corruption)")]
    Library(&'static str),
    /// The schema does not fit this program.
    #[error("{path}: {source}")]
    Schema {
        /// The file as it was named.
        path: String,
        /// What does not fit.
        source: migrate::MigrateError,
    },
}

/// Opens `path`, creating and migrating it where nothing exists. A new file has mode 0600.
pub(super) fn open(path: &Path) -> Result<Connection, OpenError> {
    // REL-14
    if rusqlite::version_number() < OLDEST_SAFE_SQLITE {
        return Err(OpenError::Library(rusqlite::version()));
    }
    if !exists(path)? {
        create(path)?;
    }
    check_file(path)?;
    let failed = |source| sqlite_error(path, source);
    let mut connection = open_file(path).map_err(failed)?;
    // Before anything is set: that would change a file of somebody else.
    if !is_ours(&connection).map_err(failed)? {
        return Err(OpenError::Foreign(path.display().to_string()));
    }
    configure(&mut connection).map_err(failed)?;
    migrate::sqlite(&mut connection).map_err(|source| schema_error(path, source))?;
    Ok(connection)
}

pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let mut connection = open_file(path)?;
    configure(&mut connection)?;
    Ok(connection)
}

fn open_file(path: &Path) -> rusqlite::Result<Connection> {
    // Never SQLITE_OPEN_CREATE: a file that has vanished must not come back empty.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    Ok(connection)
}

fn configure(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(64);
    // Without this, SQLite plans a prepared statement anew whenever a parameter has another value than last time.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON",
    )
}

pub(super) fn connect_reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path)?;
    connection.pragma_update(None, "query_only", true)?;
    // A reader runs on the async threads: it must never sleep there.
    connection.busy_timeout(Duration::ZERO)?;
    Ok(connection)
}

fn exists(path: &Path) -> Result<bool, OpenError> {
    path.try_exists().map_err(|source| file_error(path, source))
}

/// Builds the database under another name and links it into place, so that a crash leaves nothing half made and a
/// second instance that starts at the same moment finds either nothing or a whole file.
fn create(path: &Path) -> Result<(), OpenError> {
    let draft = new_draft(path)?;
    let built = build(&draft).and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked.map_err(|source| file_error(path, source)),
    });
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut leftover = draft.clone().into_os_string();
        leftover.push(suffix);
        let _ = fs::remove_file(leftover);
    }
    built
}

/// A new, empty file beside `path` that is nobody else's. A process id would not do for its name: in containers on one
/// volume every server has the same.
fn new_draft(path: &Path) -> Result<PathBuf, OpenError> {
    let mut number = 0;
    loop {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".new-{number}"));
        let mut options = OpenOptions::new();
        match options.write(true).create_new(true).mode(0o600).open(&name) {
            Ok(_) => return Ok(name.into()),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
            Err(source) => return Err(file_error(path, source)),
        }
    }
}

fn build(draft: &Path) -> Result<(), OpenError> {
    let shown = draft.display().to_string();
    let failed = |source| OpenError::Sqlite {
        path: shown.clone(),
        source,
    };
    let mut connection = connect(draft).map_err(failed)?;
    connection
        .pragma_update(None, "application_id", APPLICATION_ID)
        .map_err(failed)?;
    migrate::sqlite(&mut connection).map_err(|source| OpenError::Schema {
        path: shown.clone(),
        source,
    })?;
    // Closing the last connection moves the WAL into the file.
    connection.close().map_err(|(_, source)| failed(source))
}

/// SEC-78: nobody else on the machine may read the accounts.
fn check_file(path: &Path) -> Result<(), OpenError> {
    let metadata = fs::metadata(path).map_err(|source| file_error(path, source))?;
    if !metadata.is_file() {
        return Err(OpenError::Foreign(path.display().to_string()));
    }
    if metadata.permissions().mode() & 0o007 != 0 {
        return Err(OpenError::Exposed(path.display().to_string()));
    }
    // SQLite takes an empty file for a new database; here it is one that has lost its content. REL-15
    if metadata.len() == 0 {
        return Err(OpenError::Foreign(path.display().to_string()));
    }
    Ok(())
}

fn is_ours(connection: &Connection) -> rusqlite::Result<bool> {
    let id: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    Ok(id == APPLICATION_ID)
}

pub(super) fn file_error(path: &Path, source: std::io::Error) -> OpenError {
    OpenError::File {
        path: path.display().to_string(),
        source,
    }
}

pub(super) fn sqlite_error(path: &Path, source: rusqlite::Error) -> OpenError {
    OpenError::Sqlite {
        path: path.display().to_string(),
        source,
    }
}

fn schema_error(path: &Path, source: migrate::MigrateError) -> OpenError {
    OpenError::Schema {
        path: path.display().to_string(),
        source,
    }
}
