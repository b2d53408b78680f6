//! Sessions: what a token's subject and session are worth, sign-in, sign-out, and the clearing of what has expired.

use gatewright::error::Error;
use gatewright::store::{Cap, NewSession, NewUser, Store};
use uuid::Uuid;

use super::{HASH, NOW, email, id, insert_user, is_live, keys, open_session, session, texts};
use crate::support::Database;

on_both!(
    a_credential_in_every_combination,
    a_sign_in_does_everything_at_once,
    a_sign_in_of_anybody_but_who_was_checked_does_nothing,
    a_sign_in_that_fails_half_way_does_nothing,
    one_session_ends_alone,
    what_has_expired_goes_in_batches,
);

// SEC-29
async fn a_credential_in_every_combination(database: Database) {
    let store = database.store().await;
    for number in [1, 2, 3] {
        insert_user(&store, number).await;
    }
    open_session(&store, 11, id(1)).await;
    open_session(&store, 12, id(2)).await;
    store.disable_user(id(3), NOW).await.expect("an answer");
    let (nobody, none) = (id(9), id(19));
    let one = Some(id(1));
    let own = Some((id(1), NOW + 60_000));
    let others = Some((id(2), NOW + 60_000));
    for (user_id, session_id, user, session) in [
        (id(1), id(11), one, own),
        (id(1), id(12), one, others),
        (id(1), none, one, None),
        (id(1), Uuid::nil(), one, None),
        (id(3), none, Some(id(3)), None),
        (nobody, id(11), None, own),
        (nobody, none, None, None),
        (Uuid::nil(), Uuid::nil(), None, None),
        // An id in the other's place opens nothing.
        (id(11), id(1), None, None),
    ] {
        let found = store.credential(user_id, session_id).await;
        let found = found.expect("an answer");
        let found = (found.user.map(|user| user.id), found.session);
        assert_eq!(found, (user, session), "{user_id} {session_id}");
    }
    let disabled = store.credential(id(3), none).await.expect("an answer");
    assert_eq!(disabled.user.expect("the user").disabled_at, Some(NOW));
}

// SEC-08, SEC-14
async fn a_sign_in_does_everything_at_once(database: Database) {
    let store = database.store().await;
    insert_user(&store, 1).await;
    fail(&store, "ann", 3).await;
    let session = session(11, id(1));
    let done = store.sign_in(&session, HASH, "better", &keys("ann")).await;
    assert!(done.expect("an answer"));
    let credential = store.credential(id(1), id(11)).await.expect("an answer");
    assert_eq!(credential.session, Some((id(1), session.expires_at)));
    let user = credential.user.expect("the user");
    assert_eq!(
        user.updated_at, NOW,
        "a better hash is no change of the user"
    );
    assert_eq!(hash(&store, 1).await.as_deref(), Some("better"));
    // The client's counter gives back this attempt alone, or one's own account would wash off guesses at others.
    assert_eq!(counters(&database).await, ["client ann 2"]);
}

// SEC-36, SEC-38
async fn a_sign_in_of_anybody_but_who_was_checked_does_nothing(database: Database) {
    let store = database.store().await;
    for number in [1, 2, 3] {
        insert_user(&store, number).await;
    }
    let passwordless = email(4);
    let new = NewUser {
        id: id(4),
        email: &passwordless,
        name: "Ann",
        password_hash: None,
        created_at: NOW,
    };
    store.insert_user(&new, None).await.expect("a new user");
    store.disable_user(id(1), NOW).await.expect("an answer");
    store.delete_user(id(2)).await.expect("an answer");
    let set = store.set_password_hash(id(3), "other", NOW).await;
    set.expect("an answer");
    fail(&store, "ann", 3).await;
    let before = counters(&database).await;
    for number in [1, 2, 3, 4, 5] {
        let session = session(10 + number, id(number));
        let done = store.sign_in(&session, HASH, "better", &keys("ann")).await;
        assert!(!done.expect("an answer"), "user {number}");
        assert!(!is_live(&store, session.id).await, "user {number}");
    }
    assert_eq!(counters(&database).await, before);
    assert_eq!(hash(&store, 1).await.as_deref(), Some(HASH));
    assert_eq!(hash(&store, 3).await.as_deref(), Some("other"));
}

async fn a_sign_in_that_fails_half_way_does_nothing(database: Database) {
    let store = database.store().await;
    insert_user(&store, 1).await;
    open_session(&store, 11, id(1)).await;
    fail(&store, "ann", 3).await;
    let before = counters(&database).await;
    let same_id = session(11, id(1));
    let refused = store.sign_in(&same_id, HASH, "better", &keys("ann")).await;
    assert!(matches!(refused, Err(Error::Internal(_))), "{refused:?}");
    assert_eq!(counters(&database).await, before);
    assert_eq!(hash(&store, 1).await.as_deref(), Some(HASH));
}

// SEC-37
async fn one_session_ends_alone(database: Database) {
    let store = database.store().await;
    insert_user(&store, 1).await;
    open_session(&store, 11, id(1)).await;
    open_session(&store, 12, id(1)).await;
    assert!(store.end_session(id(11)).await.expect("an answer"));
    assert!(!is_live(&store, id(11)).await);
    assert!(is_live(&store, id(12)).await);
    assert!(
        !store.end_session(id(11)).await.expect("an answer"),
        "it had ended"
    );
    assert!(!store.end_session(id(19)).await.expect("an answer"));
}

// SEC-85, REL-36
async fn what_has_expired_goes_in_batches(database: Database) {
    let store = database.store().await;
    insert_user(&store, 1).await;
    for number in 0..10 {
        let session = NewSession {
            expires_at: NOW + i64::try_from(number).expect("a small number"),
            ..session(100 + number, id(1))
        };
        let done = store.sign_in(&session, HASH, HASH, &keys("nobody")).await;
        assert!(done.expect("an answer"));
    }
    for number in 0..3 {
        let key = format!("key {number}");
        let window_ms = 1;
        let cap = Cap::Window {
            key,
            count: 1,
            window_ms,
        };
        store.reserve(&[cap], NOW).await.expect("an answer");
    }
    let delete = async |now| store.delete_expired(now, 4).await.expect("an answer");
    assert_eq!(delete(NOW - 1).await, 0);
    assert_eq!(delete(NOW + 5).await, 4, "the longest expired first");
    assert!(!is_live(&store, id(103)).await && is_live(&store, id(104)).await);
    assert_eq!(counters(&database).await, Vec::<String>::new());
    assert_eq!(delete(NOW + 5).await, 2, "up to this very millisecond");
    assert!(!is_live(&store, id(105)).await && is_live(&store, id(106)).await);
    assert_eq!(delete(NOW + 5).await, 0);
    let user = store.user_by_id(id(1)).await.expect("an answer");
    assert!(user.is_some());
}

/// Counts `times` failures under all three keys of `name`.
async fn fail(store: &Store, name: &str, times: usize) {
    let [client, account, pair] = keys(name);
    let window = |key| Cap::Window {
        key,
        count: 100,
        window_ms: 60_000,
    };
    let count = 100;
    let caps = [
        window(client),
        window(account),
        Cap::Backoff { key: pair, count },
    ];
    for _ in 0..times {
        store.reserve(&caps, NOW).await.expect("an answer");
    }
}

async fn counters(database: &Database) -> Vec<String> {
    texts(
        database,
        "SELECT key || ' ' || failures FROM limits ORDER BY key",
    )
    .await
}

async fn hash(store: &Store, number: u128) -> Option<String> {
    let stored = store.user_by_email(&email(number)).await;
    stored.expect("an answer").expect("the user").password_hash
}
