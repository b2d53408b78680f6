//! The databases are asked for their plans: no statement of a request reads a whole table.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use gatewright::store::{Cap, Store};
use rusqlite::Connection;

use super::{HASH, NOW, email, id, keys, session, texts};
use crate::support::Database;

/// The texts of all statements, so that one which is added later is asked about too.
const SOURCES: [&str; 4] = [
    include_str!("../../../src/store/users.rs"),
    include_str!("../../../src/store/sessions.rs"),
    include_str!("../../../src/store/limits.rs"),
    include_str!("../../../src/store/mod.rs"),
];

fn statements() -> Vec<String> {
    let verbs = ["SELECT ", "INSERT ", "UPDATE ", "DELETE "];
    SOURCES
        .iter()
        .flat_map(|source| source.split('"').skip(1).step_by(2))
        .filter(|literal| verbs.iter().any(|verb| literal.starts_with(verb)))
        .map(|literal| literal.replace("\\\n", " "))
        .collect()
}

// T067
#[test]
fn sqlite_searches_and_never_scans() {
    let database = Database::sqlite();
    let connection = Connection::open(database.file().expect("a file")).expect("the database");
    connection.execute_batch(FILL_SQLITE).expect("rows");
    let statements = statements();
    assert!(statements.len() >= 17, "{statements:#?}");
    let mut plans = BTreeMap::new();
    for statement in statements {
        let explain = format!("EXPLAIN QUERY PLAN {statement}");
        let mut prepared = connection.prepare(&explain).expect("a good statement");
        let plan = prepared.raw_query().mapped(|row| row.get::<_, String>(3));
        let plan: Vec<_> = plan.map(|line| line.expect("a line")).collect();
        for line in &plan {
            let one_row = ["SCAN CONSTANT ROW", "SCAN request"].contains(&line.as_str());
            let scans_a_table = line.starts_with("SCAN ") && !one_row;
            assert!(
                !scans_a_table && !line.contains("TEMP B-TREE"),
                "{statement}: {plan:#?}"
            );
        }
        plans.insert(statement, plan.join("\n"));
    }
    for (statement, index) in [
        ("FROM users WHERE email = $1", "users_email_key"),
        ("LEFT JOIN sessions s ON s.id", "SEARCH s USING PRIMARY KEY"),
        ("DELETE FROM sessions WHERE user_id", "sessions_user_id_idx"),
        (
            "DELETE FROM sessions WHERE id IN",
            "sessions_expires_at_idx",
        ),
        (
            "DELETE FROM limits WHERE expires_at",
            "limits_expires_at_idx",
        ),
    ] {
        let found = plans.iter().find(|(text, _)| text.contains(statement));
        let (_, plan) = found.expect(statement);
        assert!(plan.contains(index), "{statement}: {plan}");
    }
}

const FILL_SQLITE: &str = "
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
    INSERT INTO users SELECT randomblob(16), 'a' || i || '@example.com', 'a', null, i, i, null FROM n;
    INSERT INTO sessions SELECT randomblob(16), id, created_at, created_at FROM users;
    INSERT INTO limits SELECT email, 1, 0, created_at FROM users;
    ANALYZE";

const FILL_POSTGRES: &str = "
    INSERT INTO users SELECT gen_random_uuid(), 'a' || i || '@example.com', 'a', null, i, i, null FROM generate_series(1, 3000) i;
    INSERT INTO sessions SELECT gen_random_uuid(), id, created_at, 9000000000000 + created_at FROM users;
    INSERT INTO limits SELECT email, 1, 0, 9000000000000 + created_at FROM users;
    ANALYZE";

/// What PostgreSQL really did is counted by itself; a plan made by hand might be another than the program's. T067
#[tokio::test]
async fn postgres_reads_by_index() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let store = database.store().await;
    super::insert_user(&store, 1).await;
    database.execute(FILL_POSTGRES).await;
    let before = scans(&database).await;
    join_all((0..50).map(|number| one_of_each(&store, number))).await;
    drop(store);
    let used = [
        "users_email_key",
        "users_pkey",
        "sessions_pkey",
        "sessions_expires_at_idx",
        "limits_pkey",
        "limits_expires_at_idx",
    ];
    // The server counts when a connection ends.
    loop {
        let after = scans(&database).await;
        let grew = |name: &str| after[name] - before[name];
        if used.iter().all(|index| grew(index) >= 50) {
            for table in ["users", "sessions", "limits"] {
                assert_eq!(grew(table), 0, "{table} was read from end to end");
            }
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

async fn one_of_each(store: &Store, number: u128) {
    let one = store.user_by_email(&email(1)).await.expect("an answer");
    assert!(one.is_some());
    store.user_by_id(id(1)).await.expect("an answer");
    let session = session(1000 + number, id(1));
    let [client, ..] = keys("ann");
    let cap = Cap::Window {
        key: client,
        count: 1000,
        window_ms: 60_000,
    };
    store.reserve(&[cap], NOW).await.expect("an answer");
    let done = store.sign_in(&session, HASH, HASH, &keys("ann")).await;
    assert!(done.expect("an answer"));
    store
        .credential(id(1), session.id)
        .await
        .expect("an answer");
    store.end_session(session.id).await.expect("an answer");
    store.delete_expired(NOW, 500).await.expect("an answer");
}

/// Times that a table was read from end to end, and an index searched, by name.
async fn scans(database: &Database) -> BTreeMap<String, i64> {
    let counts = "SELECT relname || ' ' || seq_scan FROM pg_stat_user_tables \
                  UNION ALL SELECT indexrelname || ' ' || idx_scan FROM pg_stat_user_indexes";
    let lines = texts(database, counts).await;
    lines
        .iter()
        .map(|line| {
            let (name, count) = line.split_once(' ').expect("a name and a number");
            (name.to_owned(), count.parse().expect("a number"))
        })
        .collect()
}
