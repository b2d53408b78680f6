//! What the store promises, the same on both databases.

mod cancellation;
mod counters;
mod files;
mod group_commit;
mod migrations;
mod plans;
mod races;
mod rights;
mod schema;
mod sessions;
mod users;

use gatewright::store::{NewSession, NewUser, Store};
use tokio_postgres::NoTls;
use uuid::Uuid;

use crate::support::{Database, START_MS};

/// The moment of every test that needs only one.
const NOW: i64 = START_MS;
/// The store never looks into a hash, so any text will do.
const HASH: &str = "$2b$12$a-stored-hash";

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// A user with the given id, whose e-mail is made from it, and whose password hash is [`HASH`].
async fn insert_user(store: &Store, number: u128) -> Uuid {
    let email = email(number);
    let new = NewUser {
        id: id(number),
        email: &email,
        name: "Ann",
        password_hash: Some(HASH),
        created_at: NOW,
    };
    store.insert_user(&new, None).await.expect("a new user");
    new.id
}

fn email(number: u128) -> String {
    format!("user{number}@example.com")
}

/// A session that lasts a minute from [`NOW`].
fn session(number: u128, user_id: Uuid) -> NewSession {
    NewSession {
        id: id(number),
        user_id,
        created_at: NOW,
        expires_at: NOW + 60_000,
    }
}

/// Signs a user in whose hash is [`HASH`].
async fn open_session(store: &Store, number: u128, user_id: Uuid) -> Uuid {
    let session = session(number, user_id);
    let done = store.sign_in(&session, HASH, HASH, &keys("nobody")).await;
    assert!(done.expect("an answer"), "signed in");
    session.id
}

async fn is_live(store: &Store, session_id: Uuid) -> bool {
    let credential = store.credential(Uuid::nil(), session_id).await;
    credential.expect("an answer").session.is_some()
}

/// Keys of the counters that a sign-in touches, in their order: client, account, both.
fn keys(name: &str) -> [String; 3] {
    ["client", "account", "pair"].map(|kind| format!("{kind} {name}"))
}

/// The only column of every row of a query, as text, read behind the store's back.
async fn texts(database: &Database, query: &str) -> Vec<String> {
    match database.file() {
        Some(file) => {
            let connection = rusqlite::Connection::open(file).expect("the database");
            let mut statement = connection.prepare(query).expect("a good query");
            let rows = statement.query_map((), |row| row.get::<_, rusqlite::types::Value>(0));
            let value = |value| match value {
                rusqlite::types::Value::Text(text) => text,
                rusqlite::types::Value::Integer(number) => number.to_string(),
                other => format!("{other:?}"),
            };
            rows.expect("rows")
                .map(|row| value(row.expect("a row")))
                .collect()
        }
        None => {
            let client = postgres(database).await;
            let messages = client.simple_query(query).await.expect("a good query");
            let text = |message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => {
                    Some(row.get(0).unwrap_or("NULL").to_owned())
                }
                _ => None,
            };
            messages.into_iter().filter_map(text).collect()
        }
    }
}

/// A connection of its own to a PostgreSQL database; it ends when the client is dropped.
async fn postgres(database: &Database) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls)
        .await
        .expect("PostgreSQL");
    tokio::spawn(connection);
    client
}
