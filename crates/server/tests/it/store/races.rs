//! Many at once: what may happen only once happens once, and nobody waits for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{join, join_all};
use gatewright::error::Error;
use gatewright::hash::Scheme;
use gatewright::store::{Cap, NewUser, Reservation, Store};

use serde_json::json;

use tokio::time::timeout;

use super::{
    HASH, NOW, email, id, insert_user, is_live, keys, open_session, postgres, session, texts,
};
use crate::support::{Database, Options, PASSWORD, TestApp};

on_both!(
    a_hundred_sign_ups_with_one_email_make_one_account,
    parallel_attempts_never_pass_a_cap,
    counting_clearing_and_cleaning_never_block_each_other,
    disabling_leaves_no_session_whoever_comes_first,
    another_password_leaves_no_session_of_the_old_one,
    deleting_leaves_no_session_whoever_comes_first,
    parallel_sign_ins_all_succeed,
    parallel_sign_ins_agree_on_a_better_hash,
    a_read_that_is_given_up_leaves_nobody_waiting,
    reads_that_travel_together_are_never_older_than_their_question,
);

// T016, SEC-77
async fn a_hundred_sign_ups_with_one_email_make_one_account(database: Database) {
    let stores = [database.store().await, database.store().await];
    let outcomes = join_all((0..100).map(|number: usize| {
        let store = stores[number % 2].clone();
        let number = number as u128;
        tokio::spawn(async move {
            let new = NewUser {
                id: id(number),
                email: "ann@example.com",
                name: "Ann",
                password_hash: None,
                created_at: NOW,
            };
            let session = session(1000 + number, new.id);
            store.insert_user(&new, Some(&session)).await
        })
    }))
    .await;
    let mut made = 0;
    for outcome in outcomes {
        match outcome.expect("no panic") {
            Ok(()) => made += 1,
            Err(Error::EmailTaken) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(made, 1);
    let rows = "SELECT count(*) FROM users UNION ALL SELECT count(*) FROM sessions";
    assert_eq!(texts(&database, rows).await, ["1", "1"]);
}

fn caps(name: &str) -> [Cap; 3] {
    let [client, account, pair] = keys(name);
    let window = |key, count| Cap::Window {
        key,
        count,
        window_ms: 60_000,
    };
    [
        window(client, 10),
        window(account, 1000),
        Cap::Backoff {
            key: pair,
            count: 1000,
        },
    ]
}

// SEC-15, REL-31
async fn parallel_attempts_never_pass_a_cap(database: Database) {
    let stores = [database.store().await, database.store().await];
    for round in 0..5 {
        let answers = join_all((0..60).map(|number| {
            let store = stores[number % 2].clone();
            // The clock does not stand still, and who reads it first need not come first.
            let now = NOW + [3, 0, 2, 1][number % 4];
            tokio::spawn(async move { store.reserve(&caps(&round.to_string()), now).await })
        }))
        .await;
        let granted = answers
            .into_iter()
            .map(|answer| answer.expect("no panic").expect("an answer"))
            .filter(|answer| matches!(answer, Reservation::Granted { .. }));
        assert_eq!(granted.count(), 10);
    }
}

// REL-08
async fn counting_clearing_and_cleaning_never_block_each_other(database: Database) {
    let store = database.store().await;
    insert_user(&store, 1).await;
    let workers = (0..8u128).map(|worker| {
        let store = store.clone();
        tokio::spawn(async move {
            for round in 0..25u128 {
                // Every second, so that the cleaner has something to do.
                let now = NOW + i64::try_from(round).expect("a small number") * 30_000;
                let name = (worker % 2).to_string();
                store.reserve(&caps(&name), now).await.expect("counted");
                if round % 3 == 0 {
                    let session = session(1000 + worker * 100 + round, id(1));
                    let done = store.sign_in(&session, HASH, HASH, &keys(&name)).await;
                    assert!(done.expect("signed in"));
                }
                if worker < 2 {
                    store.delete_expired(now, 500).await.expect("cleaned");
                }
            }
        })
    });
    for worker in join_all(workers).await {
        worker.expect("no failure");
    }
}

const ROUNDS: u128 = 60;

/// Runs `change` against a sign-in of the same user, many times and shifted a little against each other; afterwards the
/// session is live only where `may_live` says so of the user.
async fn against_a_sign_in<C, F>(database: &Database, change: C) -> (usize, usize)
where
    C: Fn(Store, u128) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let stores = [database.store().await, database.store().await];
    let (mut done, mut live) = (0, 0);
    for round in 1..=ROUNDS {
        insert_user(&stores[0], round).await;
        let session = session(1000 + round, id(round));
        let store = stores[0].clone();
        let pause = Duration::from_micros(200 * (u64::try_from(round).unwrap_or(0) % 7));
        let sign_in = tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            let keys = keys("ann");
            let outcome = store.sign_in(&session, HASH, HASH, &keys).await;
            outcome.expect("an answer")
        });
        let changing = tokio::spawn(change(stores[1].clone(), round));
        let (signed_in, changed) = join(sign_in, changing).await;
        changed.expect("no panic");
        done += usize::from(signed_in.expect("no panic"));
        live += usize::from(is_live(&stores[0], id(1000 + round)).await);
    }
    (done, live)
}

// SEC-38
async fn disabling_leaves_no_session_whoever_comes_first(database: Database) {
    let disable = |store: Store, number| async move {
        assert!(store.disable_user(id(number), NOW).await.expect("done"));
    };
    let (_, live) = against_a_sign_in(&database, disable).await;
    assert_eq!(live, 0);
}

// SEC-41
async fn another_password_leaves_no_session_of_the_old_one(database: Database) {
    let change = |store: Store, number| async move {
        let set = store.set_password_hash(id(number), "other", NOW).await;
        assert!(set.expect("done"));
    };
    let (_, live) = against_a_sign_in(&database, change).await;
    assert_eq!(live, 0);
}

// SEC-38
async fn deleting_leaves_no_session_whoever_comes_first(database: Database) {
    let delete = |store: Store, number| async move {
        assert!(store.delete_user(id(number)).await.expect("done"));
    };
    let (_, live) = against_a_sign_in(&database, delete).await;
    assert_eq!(live, 0);
    assert_eq!(
        texts(&database, "SELECT count(*) FROM sessions").await,
        ["0"]
    );
}

// SC-009, REL-17
async fn parallel_sign_ins_all_succeed(database: Database) {
    let store = database.store().await;
    insert_user(&store, 1).await;
    let sign_ins = (0..100).map(|number| {
        let store = store.clone();
        let session = session(1000 + number, id(1));
        tokio::spawn(async move { store.sign_in(&session, HASH, HASH, &keys("ann")).await })
    });
    for done in join_all(sign_ins).await {
        assert!(done.expect("no panic").expect("an answer"));
    }
    let rows = "SELECT count(*) FROM sessions";
    assert_eq!(texts(&database, rows).await, ["100"]);
    assert!(
        store
            .user_by_email(&email(1))
            .await
            .expect("an answer")
            .is_some()
    );
}

/// After the cost was raised, the first sign-in replaces the hash that the others are still being checked against. SEC-08
async fn parallel_sign_ins_agree_on_a_better_hash(database: Database) {
    let before = TestApp::new(database.clone()).await;
    before.user("ann").await;
    let scheme = Scheme::Bcrypt { cost: 5 };
    let options = Options {
        scheme,
        ..Options::default()
    };
    let app = TestApp::with(database, options).await;
    let right = json!({"email": "ann@example.com", "password": PASSWORD});
    let client = app.anonymous();
    let sign_ins = (0..8).map(|_| client.post("/api/auth/login", right.clone()));
    for answer in join_all(sign_ins).await {
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}

/// PostgreSQL lets the cleaner wait for a row that is being counted up; when it goes on, the row has a new life. SEC-15
#[tokio::test]
async fn the_cleaner_spares_a_counter_that_was_just_renewed() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let store = database.store().await;
    let [cap, ..] = caps("ann");
    store.reserve(&[cap], NOW).await.expect("counted");
    let later = NOW + 120_000;
    let rival = postgres(&database).await;
    let renew = format!("BEGIN; UPDATE limits SET expires_at = {}", later + 60_000);
    rival.batch_execute(&renew).await.expect("renewed");
    let cleaner = tokio::spawn(async move { store.delete_expired(later, 500).await });
    wait_for_a_lock(&database).await;
    rival.batch_execute("COMMIT").await.expect("committed");
    let deleted = cleaner.await.expect("no panic").expect("an answer");
    let left = texts(&database, "SELECT count(*) FROM limits").await;
    assert_eq!((deleted, left), (0, vec!["1".to_owned()]));
}

/// The server has undone everything when it ends a deadlock or refuses to order two transactions, so trying again is
/// safe; distributed PostgreSQL asks for it every day. REL-08
#[tokio::test]
async fn the_loser_of_a_deadlock_tries_again() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let store = database.store().await;
    let [client, account, _] = caps("ann");
    let both = [client, account];
    store.reserve(&both, NOW).await.expect("counted");
    let rival = postgres(&database).await;
    let touch = |key: &str| format!("UPDATE limits SET blocked_until = 0 WHERE key = '{key} ann'");
    let first = format!("BEGIN; {}", touch("account"));
    rival.batch_execute(&first).await.expect("locked");
    let reserving = tokio::spawn(async move { store.reserve(&both, NOW).await });
    wait_for_a_lock(&database).await;
    let second = format!("{}; COMMIT", touch("client"));
    rival
        .batch_execute(&second)
        .await
        .expect("the other one gives way: it began to wait first");
    let outcome = reserving.await.expect("no panic").expect("an answer");
    assert_eq!(outcome, Reservation::Granted { wait_ms: 0 });
}

async fn wait_for_a_lock(database: &Database) {
    let waiting = "SELECT count(*) FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while texts(database, waiting).await != ["1"] {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

// Reads share a transaction or a connection, and the first to come may be the one that leaves.
async fn a_read_that_is_given_up_leaves_nobody_waiting(database: Database) {
    let store = database.store().await;
    insert_user(&store, 1).await;
    let session = open_session(&store, 11, id(1)).await;
    let mut given_up = Box::pin(is_live(&store, session));
    assert_eq!(given_up.as_mut().now_or_never(), None, "not answered yet");
    let others = (0..8).map(|_| timeout(Duration::from_secs(5), is_live(&store, session)));
    let mut others = Box::pin(join_all(others));
    assert_eq!(others.as_mut().now_or_never(), None, "not answered yet");
    drop(given_up);
    assert_eq!(others.await, [const { Ok(true) }; 8]);
}

// REL-38
async fn reads_that_travel_together_are_never_older_than_their_question(database: Database) {
    let store = database.store().await;
    insert_user(&store, 1).await;
    let over = Arc::new(AtomicBool::new(false));
    let crowd = (0..4).map(|number| {
        let (store, over) = (store.clone(), over.clone());
        tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                join_all((0..8).map(|_| is_live(&store, id(number)))).await;
            }
        })
    });
    let crowd: Vec<_> = crowd.collect();
    for number in 100..200 {
        let session = open_session(&store, number, id(1)).await;
        assert_eq!(live(&store, session).await, [true; 4]);
        assert!(store.end_session(session).await.expect("an answer"));
        assert_eq!(live(&store, session).await, [false; 4]);
    }
    over.store(true, Ordering::Relaxed);
    join_all(crowd).await;
}

async fn live(store: &Store, session: uuid::Uuid) -> Vec<bool> {
    join_all((0..4).map(|_| is_live(store, session))).await
}
