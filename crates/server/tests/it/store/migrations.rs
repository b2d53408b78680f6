//! Bringing the schema up to date: once, whole, and never backwards.

use std::collections::BTreeSet;
use std::path::Path;

use futures_util::future::join_all;
use gatewright::store::{MigrationFailure, OpenError, Sqlite};

use super::{NOW, insert_user, texts};
use crate::support::Database;

on_both!(
    migrating_twice_changes_nothing,
    a_newer_schema_is_not_current,
);

const TABLES: &str = "sessions, users, limits, schema_migrations";

// T013
async fn migrating_twice_changes_nothing(database: Database) {
    let store = database.store().await;
    insert_user(&store, 1).await;
    store.migrate().await.expect("a second time");
    let again = database.store().await;
    again.migrate().await.expect("another instance");
    assert!(again.is_current().await.expect("an answer"));
    let user = again.user_by_id(super::id(1)).await.expect("an answer");
    assert_eq!(user.expect("the user").created_at, NOW);
    let ledger = texts(&database, "SELECT version FROM schema_migrations").await;
    assert_eq!(ledger, ["1"]);
}

async fn a_newer_schema_is_not_current(database: Database) {
    let store = database.store().await;
    assert!(store.is_current().await.expect("an answer"));
    add_newer(&database).await;
    assert!(!store.is_current().await.expect("an answer"));
}

async fn add_newer(database: &Database) {
    database
        .execute("INSERT INTO schema_migrations (version, name) VALUES (9999, 'from the future')")
        .await;
}

// REL-29
#[tokio::test]
async fn a_newer_schema_is_refused_by_sqlite() {
    let database = Database::sqlite();
    add_newer(&database).await;
    let refused = Sqlite::open(database.file().expect("a file")).err();
    let Some(error @ OpenError::Schema { .. }) = refused else {
        panic!("{refused:?}");
    };
    let text = error.to_string();
    assert!(text.contains("9999") && text.contains("test.db"), "{text}");
}

// REL-29
#[tokio::test]
async fn a_newer_schema_is_refused_by_postgres() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    add_newer(&database).await;
    let refused = database.store().await.migrate().await;
    assert!(
        matches!(&refused, Err(MigrationFailure::Lasting(error)) if error.to_string().contains("9999")),
        "{refused:?}"
    );
}

// REL-29
#[tokio::test]
async fn eight_instances_migrate_an_empty_database_at_once() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    for _ in 0..5 {
        database.execute(&format!("DROP TABLE {TABLES}")).await;
        let migrations = (0..8).map(|_| {
            let database = database.clone();
            tokio::spawn(async move { database.store().await.migrate().await })
        });
        for outcome in join_all(migrations).await {
            outcome.expect("no panic").expect("migrated");
        }
        let ledger = texts(&database, "SELECT version FROM schema_migrations").await;
        assert_eq!(ledger, ["1"]);
    }
}

/// A database that is not there yet, or was emptied, is one to migrate: no defect of ours.
#[tokio::test]
async fn an_empty_database_is_not_current() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    database.execute(&format!("DROP TABLE {TABLES}")).await;
    let answer = database.store().await.is_current().await;
    assert!(matches!(answer, Ok(false)), "{answer:?}");
}

// REL-29
#[tokio::test]
async fn a_migration_that_fails_half_way_leaves_nothing_in_postgres() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    // The second table of the migration is in its way.
    let obstacle = format!("DROP TABLE {TABLES}; CREATE TABLE sessions (one BIGINT)");
    database.execute(&obstacle).await;
    let store = database.store().await;
    assert!(matches!(
        store.migrate().await,
        Err(MigrationFailure::Lasting(_))
    ));
    let tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(texts(&database, tables).await, ["sessions"]);
    database.execute("DROP TABLE sessions").await;
    store.migrate().await.expect("another try");
    assert!(store.is_current().await.expect("an answer"));
}

/// The connection ends while the migration waits for a table: `kill -9` of the server or of the database. REL-29
#[tokio::test]
async fn a_migration_that_is_killed_can_run_again() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    database.execute(&format!("DROP TABLE {TABLES}")).await;
    let rival = super::postgres(&database).await;
    let in_the_way = "BEGIN; CREATE TABLE limits (one BIGINT)";
    rival.batch_execute(in_the_way).await.expect("in the way");
    let store = database.store().await;
    let migrating = tokio::spawn({
        let store = store.clone();
        async move { store.migrate().await }
    });
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                WHERE datname = current_database() AND application_name = 'gatewright' AND wait_event_type = 'Lock'";
    while texts(&database, kill).await != ["t"] {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let outcome = migrating.await.expect("no panic");
    assert!(
        matches!(outcome, Err(MigrationFailure::Unavailable(_))),
        "{outcome:?}"
    );
    rival
        .batch_execute("ROLLBACK")
        .await
        .expect("out of the way");
    let tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(texts(&database, tables).await, Vec::<String>::new());
    store.migrate().await.expect("another try");
    assert!(store.is_current().await.expect("an answer"));
}

// REL-29
#[tokio::test]
async fn a_migration_that_fails_half_way_leaves_nothing_in_sqlite() {
    let database = Database::sqlite();
    let file = database.file().expect("a file").to_owned();
    let drop_all =
        "DROP TABLE sessions; DROP TABLE users; DROP TABLE limits; DROP TABLE schema_migrations;";
    let obstacle = format!("{drop_all} CREATE TABLE sessions (one INTEGER)");
    database.execute(&obstacle).await;
    assert!(matches!(Sqlite::open(&file), Err(OpenError::Schema { .. })));
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table'";
    assert_eq!(texts(&database, tables).await, ["sessions"]);
    database.execute("DROP TABLE sessions").await;
    let store = database.store().await;
    assert!(store.is_current().await.expect("an answer"));
}

#[test]
fn both_folders_have_the_same_numbers() {
    let folder = |name: &str| {
        let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
        let files = std::fs::read_dir(migrations.join(name)).expect("the folder");
        files
            .map(|file| file.expect("an entry").file_name())
            .collect::<BTreeSet<_>>()
    };
    let sqlite = folder("sqlite");
    assert_eq!(sqlite, folder("postgres"));
    assert!(!sqlite.is_empty());
    for (number, file) in (1..).zip(&sqlite) {
        let name = file.to_str().expect("a plain name");
        assert!(name.starts_with(&format!("{number:04}_")), "{name}");
        assert!(name.ends_with(".sql"), "{name}");
    }
}
