//! SQLite's writer commits those who wait together; each of them is still on its own.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use gatewright::error::Error;
use gatewright::store::{NewUser, Store};
use rusqlite::Connection;
use tokio::time::{sleep, timeout};

use super::{HASH, NOW, email, id, insert_user, keys, session, texts};
use crate::support::Database;

/// Another process that writes: whoever comes now has to wait, and waits in one group.
fn hold(database: &Database) -> Connection {
    let rival = Connection::open(database.file().expect("a file")).expect("the database");
    rival.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    rival
}

fn let_go(rival: &Connection) {
    rival.execute_batch("COMMIT").expect("the lock is free");
}

async fn insert(store: Store, number: u128, email: String) -> Result<(), Error> {
    let new = NewUser {
        id: id(number),
        email: &email,
        name: "Ann",
        password_hash: Some(HASH),
        created_at: NOW,
    };
    let session = session(1000 + number, new.id);
    store.insert_user(&new, Some(&session)).await
}

#[tokio::test]
async fn one_that_fails_leaves_the_others_alone() {
    let database = Database::sqlite();
    let store = database.store().await;
    insert_user(&store, 1).await;
    let rival = hold(&database);
    // The first takes the writer to the lock; the others gather behind it.
    let mut inserts = vec![tokio::spawn(insert(store.clone(), 100, email(100)))];
    sleep(Duration::from_millis(50)).await;
    for number in 101..140 {
        let email = match number % 3 {
            // Taken before, and taken within the group.
            0 => email(1),
            1 => email(100),
            _ => email(number),
        };
        inserts.push(tokio::spawn(insert(store.clone(), number, email)));
    }
    let rolled_back = tokio::spawn({
        let store = store.clone();
        async move {
            store
                .sign_in(&session(5000, id(1)), "wrong", "other", &keys("ann"))
                .await
        }
    });
    sleep(Duration::from_millis(50)).await;
    let_go(&rival);
    assert!(!rolled_back.await.expect("no panic").expect("an answer"));
    for (number, outcome) in (100..).zip(join_all(inserts).await) {
        match outcome.expect("no panic") {
            Ok(()) => assert!(number == 100 || number % 3 == 2, "{number}"),
            Err(Error::EmailTaken) => assert!(number != 100 && number % 3 != 2, "{number}"),
            Err(other) => panic!("{other:?}"),
        }
    }
    let rows = "SELECT count(*) FROM users UNION ALL SELECT count(*) FROM sessions";
    assert_eq!(texts(&database, rows).await, ["15", "14"]);
}

/// A client that hung up, or was told to come again, must not find an account made behind its back. REL-24
#[tokio::test]
async fn nothing_is_done_for_somebody_who_has_gone() {
    let database = Database::sqlite();
    let store = database.store().await;
    let rival = hold(&database);
    let patient = tokio::spawn(insert(store.clone(), 1, email(1)));
    let (first, second) = (
        insert(store.clone(), 2, email(2)),
        insert(store.clone(), 3, email(3)),
    );
    let brief = Duration::from_millis(100);
    let (first, second) =
        futures_util::future::join(timeout(brief, first), timeout(brief, second)).await;
    assert!(first.is_err() && second.is_err(), "they gave up");
    let_go(&rival);
    patient.await.expect("no panic").expect("a new user");
    insert_user(&store, 4).await;
    let emails = "SELECT email FROM users ORDER BY email";
    assert_eq!(texts(&database, emails).await, [email(1), email(4)]);
}

// REL-12
#[tokio::test]
async fn a_held_file_is_written_late_or_refused_while_reads_go_on() {
    let database = Database::sqlite();
    let store = database.store().await;
    insert_user(&store, 1).await;
    let rival = hold(&database);
    let late = tokio::spawn(insert(store.clone(), 2, email(2)));
    for _ in 0..10 {
        let begun = Instant::now();
        let user = store.user_by_id(id(1)).await.expect("an answer");
        assert!(user.is_some() && begun.elapsed() < Duration::from_millis(250));
        sleep(Duration::from_millis(50)).await;
    }
    let_go(&rival);
    late.await.expect("no panic").expect("served late");
    let rival = hold(&database);
    let begun = Instant::now();
    let refused = insert(store.clone(), 3, email(3)).await;
    assert!(
        matches!(refused, Err(Error::DatabaseUnavailable(_))),
        "{refused:?}"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(6),
        "{:?}",
        begun.elapsed()
    );
    let_go(&rival);
    insert(store, 3, email(3)).await.expect("another try");
}
