//! The SQLite file: who may read it, and what is never taken for a new one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Barrier;

use gatewright::store::{OpenError, Sqlite, Store};
use tempfile::TempDir;

use super::insert_user;
use crate::support::Database;

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn mode(path: &Path) -> u32 {
    let metadata = fs::metadata(path).expect("a file");
    metadata.permissions().mode() & 0o777
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("the directory");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.into_string().expect("a plain name"))
        .collect();
    names.sort();
    names
}

/// Why `file` was not opened; its bytes are the same as before, and nothing has come beside it.
fn refusal(file: &Path) -> OpenError {
    let directory = file.parent().expect("a directory");
    let (bytes, before) = (fs::read(file).ok(), names(directory));
    let error = match Sqlite::open(file) {
        Err(error) => error,
        Ok(_) => panic!("{} was opened", file.display()),
    };
    assert!(
        error.to_string().contains(&file.display().to_string()),
        "{error}"
    );
    assert!(fs::read(file).ok() == bytes, "it is left as it is");
    assert_eq!(names(directory), before);
    error
}

/// A whole database with a user in it, closed.
async fn closed_database(directory: &TempDir) -> PathBuf {
    let database = Database::sqlite();
    insert_user(&database.store().await, 1).await;
    let file = directory.path().join("test.db");
    let source = rusqlite::Connection::open(database.file().expect("a file"));
    source
        .expect("the database")
        .execute("VACUUM INTO ?1", [file.to_str()])
        .expect("a copy");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("mode 0600");
    file
}

// SEC-78
#[tokio::test]
async fn a_new_file_is_for_its_owner_alone() {
    let directory = directory();
    let file = directory.path().join("new.db");
    let store = Store::sqlite(Sqlite::open(&file).expect("a new database"));
    insert_user(&store, 1).await;
    let all = ["new.db", "new.db-shm", "new.db-wal"];
    assert_eq!(names(directory.path()), all);
    for name in all {
        assert_eq!(mode(&directory.path().join(name)), 0o600, "{name}");
    }
}

// SEC-78
#[tokio::test]
async fn a_file_that_everybody_can_read_is_refused() {
    let directory = directory();
    let file = closed_database(&directory).await;
    for exposed in [0o644, 0o604, 0o602, 0o601] {
        fs::set_permissions(&file, fs::Permissions::from_mode(exposed)).expect("a mode");
        assert!(
            matches!(refusal(&file), OpenError::Exposed(_)),
            "{exposed:o}"
        );
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("a mode");
    Sqlite::open(&file).expect("the database");
}

// REL-15
#[test]
fn a_missing_directory_stays_missing() {
    let directory = directory();
    let file = directory.path().join("no").join("such.db");
    let error = Sqlite::open(&file).err().expect("a refusal");
    assert!(matches!(error, OpenError::File { .. }), "{error}");
    assert!(error.to_string().contains("such.db: "), "{error}");
    assert!(names(directory.path()).is_empty());
}

// REL-15
#[test]
fn a_directory_is_no_database() {
    let directory = directory();
    let place = directory.path().join("a");
    fs::create_dir(&place).expect("a directory");
    assert!(Sqlite::open(&place).is_err());
}

// REL-15
#[test]
fn what_is_not_ours_is_left_alone() {
    let directory = directory();
    let file = directory.path().join("test.db");
    let write = |bytes: &[u8]| {
        fs::write(&file, bytes).expect("a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("mode 0600");
    };
    write(b"");
    assert!(matches!(refusal(&file), OpenError::Foreign(_)), "empty");
    write(b"x");
    assert!(matches!(refusal(&file), OpenError::Foreign(_)), "a byte");
    let noise: Vec<u8> = (0..40_960_u32).map(|i| ((i * i) >> 7) as u8).collect();
    write(&noise);
    assert!(matches!(refusal(&file), OpenError::Sqlite { .. }), "noise");
    fs::remove_file(&file).expect("removed");
    let foreign = rusqlite::Connection::open(&file).expect("a database");
    let made = foreign.execute_batch("CREATE TABLE users (id INTEGER); PRAGMA application_id = 42");
    made.expect("a table");
    drop(foreign);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("mode 0600");
    assert!(
        matches!(refusal(&file), OpenError::Foreign(_)),
        "somebody else's database"
    );
}

// REL-15
#[tokio::test]
async fn a_damaged_file_is_refused() {
    let directory = directory();
    let file = closed_database(&directory).await;
    let whole = fs::read(&file).expect("the file");
    for (what, bytes) in [
        ("cut in the middle", whole[..whole.len() / 2].to_vec()),
        ("last page cut off", whole[..whole.len() - 4096].to_vec()),
        ("cut to its header", whole[..100].to_vec()),
        (
            "header overwritten",
            [vec![0; 100], whole[100..].to_vec()].concat(),
        ),
        (
            "first page overwritten",
            [vec![0; 4096], whole[4096..].to_vec()].concat(),
        ),
    ] {
        fs::write(&file, bytes).expect("a file");
        let error = refusal(&file);
        assert!(!matches!(error, OpenError::Exposed(_)), "{what}: {error}");
    }
    fs::write(&file, whole).expect("a file");
    Sqlite::open(&file).expect("the whole file");
}

/// Servers that start at the same moment on a path where nothing is: all work, on one file. REL-15
#[tokio::test]
async fn many_may_make_the_same_file_at_once() {
    for _ in 0..10 {
        let directory = directory();
        let file = directory.path().join("new.db");
        let together = Barrier::new(4);
        let open = || {
            together.wait();
            Sqlite::open(&file)
        };
        let opened: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
            let join =
                |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().expect("no panic");
            threads.into_iter().map(join).collect()
        });
        let stores: Vec<_> = opened
            .into_iter()
            .map(|opened| Store::sqlite(opened.expect("a database")))
            .collect();
        for (number, store) in (1..).zip(&stores) {
            insert_user(store, number).await;
        }
        for store in &stores {
            let users = store.users_after(uuid::Uuid::nil(), 10).await;
            assert_eq!(users.expect("a page").len(), 4);
        }
        assert_eq!(
            names(directory.path()),
            ["new.db", "new.db-shm", "new.db-wal"]
        );
    }
}

/// What a crash while making the file left behind is in nobody's way.
#[test]
fn an_abandoned_draft_is_in_nobodys_way() {
    let directory = directory();
    let file = directory.path().join("new.db");
    for draft in ["new.db.new-0", "new.db.new-0-wal"] {
        fs::write(directory.path().join(draft), "half a database").expect("a file");
    }
    let store = Sqlite::open(&file).expect("a new database");
    drop(store);
    assert!(file.exists());
}

/// The product itself, as a user who may not write. REL-15
#[tokio::test]
async fn a_file_that_cannot_be_written_stops_the_command() {
    let directory = directory();
    let file = closed_database(&directory).await;
    let newer = rusqlite::Connection::open(&file).expect("the database");
    newer
        .execute_batch("DROP TABLE schema_migrations")
        .expect("a schema to bring up to date");
    drop(newer);
    for (place, mode) in [(file.as_path(), 0o400), (directory.path(), 0o500)] {
        fs::set_permissions(place, fs::Permissions::from_mode(mode)).expect("a mode");
        // The super-user may write anything, so somebody else has to try.
        std::os::unix::fs::chown(place, owner(), owner()).expect("another owner");
    }
    let output = migrate(&file);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("test.db"), "{said}");
    assert_eq!(said.trim().lines().count(), 1, "{said}");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).expect("a mode");
}

/// "nobody" where the tests run as the super-user.
fn owner() -> Option<u32> {
    rustix::process::geteuid().is_root().then_some(65_534)
}

fn migrate(file: &Path) -> Output {
    // A copy, because the build directory may be closed to others.
    let place = directory();
    let program = place.path().join("gatewright");
    fs::copy(env!("CARGO_BIN_EXE_gatewright"), &program).expect("the program");
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
    let mut command = Command::new(program);
    if let Some(owner) = owner() {
        command.uid(owner).gid(owner);
    }
    command
        .arg("migrate")
        .env_clear()
        .env("DATABASE_URL", format!("sqlite://{}", file.display()))
        .current_dir(place.path())
        .output()
        .expect("the program runs")
}

// REL-14
#[test]
fn the_linked_sqlite_does_not_corrupt_a_wal() {
    assert!(
        rusqlite::version_number() >= 3_051_003,
        "{}",
        rusqlite::version()
    );
}
