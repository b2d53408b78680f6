//! Accounts: made, found, listed, renamed, disabled, enabled, deleted.

use gatewright::error::Error;
use gatewright::store::{NewUser, User};
use uuid::Uuid;

use super::{HASH, NOW, email, id, insert_user, is_live, open_session, session};
use crate::support::Database;

on_both!(
    a_user_is_made_with_the_first_session,
    a_taken_email_makes_neither_user_nor_session,
    a_session_that_cannot_be_made_takes_the_user_along,
    a_user_is_found_by_email_and_by_id,
    any_text_survives,
    pages_follow_the_ids,
    every_change_moves_updated_at,
    only_an_active_user_is_renamed,
    disabling_ends_the_sessions_of_one_user,
    enabling_revives_no_session,
    deleting_takes_everything_along,
    another_password_ends_the_sessions,
    nobody_to_change_is_said_so,
);

async fn a_user_is_made_with_the_first_session(database: Database) {
    let store = database.store().await;
    let (email, first) = (email(1), session(7, id(1)));
    let new = new_user(1, &email, Some(HASH));
    store
        .insert_user(&new, Some(&first))
        .await
        .expect("a new user");
    let credential = store.credential(id(1), id(7)).await.expect("an answer");
    let user = User {
        id: id(1),
        email: email.clone(),
        name: "Ann".into(),
        created_at: NOW,
        updated_at: NOW,
        disabled_at: None,
    };
    assert_eq!(credential.user, Some(user));
    assert_eq!(credential.session, Some((id(1), NOW + 60_000)));
}

// T016, SEC-77
async fn a_taken_email_makes_neither_user_nor_session(database: Database) {
    let store = database.store().await;
    insert_user(&store, 1).await;
    let taken = email(1);
    let refused = store
        .insert_user(&new_user(2, &taken, None), Some(&session(7, id(2))))
        .await;
    assert!(matches!(refused, Err(Error::EmailTaken)), "{refused:?}");
    assert_eq!(store.user_by_id(id(2)).await.expect("an answer"), None);
    assert!(!is_live(&store, id(7)).await);
}

// REL-02
async fn a_session_that_cannot_be_made_takes_the_user_along(database: Database) {
    let store = database.store().await;
    let ann = insert_user(&store, 1).await;
    open_session(&store, 7, ann).await;
    let fresh = email(2);
    let refused = store
        .insert_user(&new_user(2, &fresh, None), Some(&session(7, id(2))))
        .await;
    assert!(matches!(refused, Err(Error::Internal(_))), "{refused:?}");
    assert_eq!(store.user_by_id(id(2)).await.expect("an answer"), None);
}

async fn a_user_is_found_by_email_and_by_id(database: Database) {
    let store = database.store().await;
    insert_user(&store, 1).await;
    let without_password = email(2);
    let new = new_user(2, &without_password, None);
    store.insert_user(&new, None).await.expect("a new user");
    let found = async |email: &str| store.user_by_email(email).await.expect("an answer");
    let ann = found(&email(1)).await.expect("the user");
    assert_eq!(
        (ann.user.id, ann.password_hash.as_deref()),
        (id(1), Some(HASH))
    );
    let bob = found(&email(2)).await.expect("the user");
    assert_eq!((bob.user.id, bob.password_hash), (id(2), None));
    assert_eq!(
        store.user_by_id(id(1)).await.expect("an answer"),
        Some(ann.user)
    );
    // The canonical form is made in `auth`; here every byte counts.
    assert!(found("USER1@example.com").await.is_none());
    assert!(found("user1@example.com ").await.is_none());
    assert!(found("").await.is_none());
    assert_eq!(store.user_by_id(id(3)).await.expect("an answer"), None);
}

// SEC-76
async fn any_text_survives(database: Database) {
    let store = database.store().await;
    let emoji = "🦀".repeat(100);
    let names = [
        "'); DROP TABLE users; --",
        "$1 ?1 :name %s",
        "\\x00",
        &emoji,
    ];
    for (number, name) in (1..).zip(names) {
        let email = email(number);
        let new = NewUser {
            name,
            ..new_user(number, &email, Some(name))
        };
        store.insert_user(&new, None).await.expect("a new user");
        let stored = store.user_by_email(&email).await.expect("an answer");
        let stored = stored.expect("the user");
        assert_eq!(stored.user.name, name);
        assert_eq!(stored.password_hash.as_deref(), Some(name));
    }
}

async fn pages_follow_the_ids(database: Database) {
    let store = database.store().await;
    // The highest bit set: an order by signed numbers would put it first.
    let numbers = [1, 2, 1 << 64, 1 << 100, u128::MAX];
    for number in [1 << 100, 2, u128::MAX, 1, 1 << 64] {
        insert_user(&store, number).await;
    }
    let page = async |after: Uuid, count: i64| {
        let users = store.users_after(after, count).await.expect("a page");
        users.iter().map(|user| user.id).collect::<Vec<_>>()
    };
    assert_eq!(page(Uuid::nil(), 10).await, numbers.map(id));
    assert_eq!(page(Uuid::nil(), 2).await, [id(1), id(2)]);
    assert_eq!(page(id(2), 2).await, [id(1 << 64), id(1 << 100)]);
    assert_eq!(
        page(id(3), 1).await,
        [id(1 << 64)],
        "no such id is needed to go on"
    );
    assert!(page(id(u128::MAX), 10).await.is_empty());
    assert!(page(Uuid::nil(), 0).await.is_empty());
}

// T059
async fn every_change_moves_updated_at(database: Database) {
    let store = database.store().await;
    insert_user(&store, 1).await;
    let rename = async |name, now| {
        let renamed = store.update_name(id(1), name, now).await;
        let user = renamed.expect("an answer").expect("the user");
        (user.name, user.updated_at)
    };
    assert_eq!(rename(Some("Bea"), NOW + 5).await, ("Bea".into(), NOW + 5));
    assert_eq!(
        rename(Some("Cid"), NOW + 5).await,
        ("Cid".into(), NOW + 6),
        "the same moment"
    );
    assert_eq!(
        rename(None, NOW - 3_600_000).await,
        ("Cid".into(), NOW + 7),
        "a clock set back"
    );
    assert_eq!(rename(None, NOW + 100).await, ("Cid".into(), NOW + 100));
    let stored = store.user_by_id(id(1)).await.expect("an answer");
    let stored = stored.expect("the user");
    assert_eq!(
        (stored.created_at, stored.updated_at),
        (NOW, NOW + 100),
        "what was answered is what is kept"
    );
}

async fn only_an_active_user_is_renamed(database: Database) {
    let store = database.store().await;
    insert_user(&store, 1).await;
    insert_user(&store, 2).await;
    assert!(store.disable_user(id(1), NOW).await.expect("an answer"));
    let rename = async |number| {
        let renamed = store.update_name(id(number), Some("Bea"), NOW + 1).await;
        renamed.expect("an answer")
    };
    assert_eq!(rename(1).await, None);
    assert_eq!(rename(3).await, None);
    for number in [1, 2] {
        let user = store.user_by_id(id(number)).await.expect("an answer");
        assert_eq!(user.expect("the user").name, "Ann");
    }
}

// SEC-38
async fn disabling_ends_the_sessions_of_one_user(database: Database) {
    let store = database.store().await;
    for number in [1, 2] {
        insert_user(&store, number).await;
        open_session(&store, 10 + number, id(number)).await;
        open_session(&store, 20 + number, id(number)).await;
    }
    assert!(store.disable_user(id(1), NOW + 5).await.expect("an answer"));
    assert!(!is_live(&store, id(11)).await && !is_live(&store, id(21)).await);
    assert!(is_live(&store, id(12)).await && is_live(&store, id(22)).await);
    assert!(store.disable_user(id(1), NOW + 9).await.expect("an answer"));
    let user = store.user_by_id(id(1)).await.expect("an answer");
    assert_eq!(
        user.expect("the user").disabled_at,
        Some(NOW + 5),
        "the first moment counts"
    );
}

// SEC-38
async fn enabling_revives_no_session(database: Database) {
    let store = database.store().await;
    insert_user(&store, 1).await;
    open_session(&store, 11, id(1)).await;
    store.disable_user(id(1), NOW).await.expect("an answer");
    assert!(store.enable_user(id(1)).await.expect("an answer"));
    assert!(!is_live(&store, id(11)).await);
    let user = store.user_by_id(id(1)).await.expect("an answer");
    assert_eq!(user.expect("the user").disabled_at, None);
    open_session(&store, 12, id(1)).await;
    assert!(store.enable_user(id(1)).await.expect("an answer"));
    assert!(
        is_live(&store, id(12)).await,
        "enabling an active user changes nothing"
    );
}

// SEC-85
async fn deleting_takes_everything_along(database: Database) {
    let store = database.store().await;
    insert_user(&store, 1).await;
    insert_user(&store, 2).await;
    open_session(&store, 11, id(1)).await;
    open_session(&store, 12, id(2)).await;
    assert!(store.delete_user(id(1)).await.expect("an answer"));
    assert_eq!(store.user_by_id(id(1)).await.expect("an answer"), None);
    assert!(!is_live(&store, id(11)).await);
    assert!(is_live(&store, id(12)).await);
    // The e-mail is free again.
    let email = email(1);
    let again = store.insert_user(&new_user(3, &email, None), None).await;
    again.expect("a new user");
}

// SEC-41
async fn another_password_ends_the_sessions(database: Database) {
    let store = database.store().await;
    insert_user(&store, 1).await;
    insert_user(&store, 2).await;
    open_session(&store, 11, id(1)).await;
    open_session(&store, 12, id(2)).await;
    let set = store.set_password_hash(id(1), "other", NOW).await;
    assert!(set.expect("an answer"));
    assert!(!is_live(&store, id(11)).await);
    assert!(is_live(&store, id(12)).await);
    let stored = store.user_by_email(&email(1)).await.expect("an answer");
    let stored = stored.expect("the user");
    assert_eq!(stored.password_hash.as_deref(), Some("other"));
    assert_eq!(stored.user.updated_at, NOW + 1);
}

async fn nobody_to_change_is_said_so(database: Database) {
    let store = database.store().await;
    insert_user(&store, 1).await;
    assert!(!store.disable_user(id(2), NOW).await.expect("an answer"));
    assert!(!store.enable_user(id(2)).await.expect("an answer"));
    assert!(!store.delete_user(id(2)).await.expect("an answer"));
    let set = store.set_password_hash(id(2), "other", NOW).await;
    assert!(!set.expect("an answer"));
    let user = store.user_by_id(id(1)).await.expect("an answer");
    assert_eq!(user.expect("the user").updated_at, NOW);
}

fn new_user<'a>(number: u128, email: &'a str, password_hash: Option<&'a str>) -> NewUser<'a> {
    NewUser {
        id: id(number),
        email,
        name: "Ann",
        password_hash,
        created_at: NOW,
    }
}
