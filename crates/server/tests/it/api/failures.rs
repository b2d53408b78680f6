//! A database that does not answer is 503, never 401 and never 200 (SEC-29, REL-04, REL-12).

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use tokio_postgres::NoTls;

use super::{ANN, LOGOUT, PROFILE, REGISTER, send, sign_in};
use crate::support::{Answer, Client, Database, PASSWORD, TestApp};

/// Every request that needs the database, by name.
async fn all_requests(client: &Client, app: &TestApp, round: u32) -> Vec<(&'static str, Answer)> {
    let nobody = app.anonymous();
    let sign_up =
        json!({"email": format!("user{round}@example.com"), "name": "x", "password": PASSWORD});
    vec![
        ("profile", client.get(PROFILE).await),
        ("rename", client.put(PROFILE, json!({"name": "x"})).await),
        ("sign-out", send(client, "POST", LOGOUT).await),
        ("sign-in", sign_in(&nobody, ANN, PASSWORD).await),
        (
            "wrong password",
            sign_in(&nobody, ANN, "wrong-horse-7").await,
        ),
        (
            "unknown",
            sign_in(&nobody, "nobody@example.com", PASSWORD).await,
        ),
        ("sign-up", nobody.post(REGISTER, sign_up).await),
    ]
}

fn assert_unavailable(answer: &Answer, context: &str) {
    let expected = (
        503,
        "The database is not available, try again soon",
        "database_unavailable",
    );
    assert_eq!(answer.refusal(), expected, "{context}");
    assert_eq!(answer.header("retry-after"), "1", "{context}");
    assert_eq!(answer.header("www-authenticate"), "", "{context}");
}

/// Runs a statement on the server, beside the test's database.
async fn on_the_server(database: &Database, sql: &str) {
    let url = database.url();
    let (address, _) = url.rsplit_once('/').expect("a URL with a database");
    let (client, connection) = tokio_postgres::connect(&format!("{address}/postgres"), NoTls)
        .await
        .expect("PostgreSQL");
    tokio::spawn(connection);
    client.batch_execute(sql).await.expect("a good statement");
}

// REL-04: and all is well again without a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_gone_and_back() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let app = TestApp::new(database.clone()).await;
    let ann = app.user("ann").await;
    let url = database.url();
    let (_, name) = url.rsplit_once('/').expect("a URL with a database");
    for round in 0..2 {
        on_the_server(
            &database,
            &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"),
        )
        .await;
        let end = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        );
        on_the_server(&database, &end).await;
        let started = Instant::now();
        for (request, answer) in all_requests(&ann, &app, round).await {
            assert_unavailable(&answer, request);
        }
        assert!(
            started.elapsed() < Duration::from_secs(14),
            "two seconds each: {:?}",
            started.elapsed()
        );
        assert_eq!(app.anonymous().get("/ready").await.status, 503);
        assert_eq!(app.anonymous().get("/health").await.status, 200);
        let answer = app.anonymous().get(PROFILE).await;
        assert_eq!(
            answer.status, 401,
            "what needs no database is answered: {}",
            answer.text
        );

        on_the_server(
            &database,
            &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"),
        )
        .await;
        let answer = ann.get(PROFILE).await;
        assert_eq!(
            (answer.status, &answer.body["name"]),
            (200, &json!("ann")),
            "nothing was changed"
        );
        assert_eq!(sign_in(&app.anonymous(), ANN, PASSWORD).await.status, 200);
        assert_eq!(app.anonymous().get("/ready").await.status, 200);
    }
}

// REL-12: a held writer's lock delays writes, and reads go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_locked_by_another_program() {
    let database = Database::sqlite();
    let app = TestApp::new(database.clone()).await;
    let ann = app.user("ann").await;
    let lock = rusqlite::Connection::open(database.file().expect("a file")).expect("the database");
    lock.execute_batch("BEGIN IMMEDIATE").expect("the lock");

    let started = Instant::now();
    let nobody = app.anonymous();
    let sign_up = json!({"email": "bob@example.com", "name": "Bob", "password": PASSWORD});
    let writes = async {
        let (rename, sign_out, sign_in, sign_up) = tokio::join!(
            ann.put(PROFILE, json!({"name": "x"})),
            send(&ann, "POST", LOGOUT),
            sign_in(&nobody, ANN, PASSWORD),
            nobody.post(REGISTER, sign_up),
        );
        [
            ("rename", rename),
            ("sign-out", sign_out),
            ("sign-in", sign_in),
            ("sign-up", sign_up),
        ]
    };
    let reads = async {
        while started.elapsed() < Duration::from_secs(4) {
            let answers = join_all((0..20).map(|_| ann.get(PROFILE))).await;
            assert!(
                answers.iter().all(|answer| answer.status == 200),
                "reads go on"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let (writes, ()) = tokio::join!(writes, reads);
    for (request, answer) in writes {
        assert_unavailable(&answer, request);
    }
    assert!(
        started.elapsed() < Duration::from_secs(8),
        "{:?}",
        started.elapsed()
    );

    lock.execute_batch("ROLLBACK").expect("the end of the lock");
    assert_eq!(
        ann.put(PROFILE, json!({"name": "Ann"})).await.status,
        200,
        "nobody was signed out"
    );
    assert_eq!(sign_in(&nobody, ANN, PASSWORD).await.status, 200);
    assert_eq!(send(&ann, "POST", LOGOUT).await.status, 200);
}

// REL-12: a short lock is waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_locked_for_a_moment() {
    let database = Database::sqlite();
    let app = TestApp::new(database.clone()).await;
    let ann = app.user("ann").await;
    let lock = rusqlite::Connection::open(database.file().expect("a file")).expect("the database");
    lock.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let release = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        lock.execute_batch("ROLLBACK").expect("the end of the lock");
    };
    let (renamed, ()) = tokio::join!(ann.put(PROFILE, json!({"name": "Ann"})), release);
    assert_eq!(renamed.status, 200, "{}", renamed.text);
}
