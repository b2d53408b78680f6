//! PostgreSQL: requests that are given up, connections that die, and poolers in between.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use gatewright::error::Error;
use gatewright::store::{Cap, Encryption, Postgres, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::{HASH, NOW, email, id, insert_user, is_live, keys, postgres, session, texts};
use crate::support::Database;

/// Connections of the pool that are in the middle of something.
const BUSY: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                    AND application_name = 'gatewright' AND state <> 'idle'";

/// A request that is dropped half way must not leave its answer to the next one, nor a lock behind. REL-24
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_the_impatient_reach_nobody_else() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let store = database.store().await;
    for number in 1..=8 {
        insert_user(&store, number).await;
    }
    let clients = (1..=8u128).map(|number| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut answered = 0;
            for round in 0..40 {
                let patience = match round % 4 {
                    3 => Duration::from_secs(10),
                    _ => Duration::from_millis(round * 37 % 40),
                };
                let session = session(1000 * number + u128::from(round), id(number));
                let keys = keys("ann");
                let signing_in = store.sign_in(&session, HASH, HASH, &keys);
                if let Ok(done) = timeout(patience, signing_in).await {
                    assert!(done.expect("an answer"));
                    let credential = store.credential(id(number), session.id).await;
                    let (owner, _) = credential.expect("an answer").session.expect("live");
                    assert_eq!(owner, id(number));
                    answered += 1;
                }
                let email = email(number);
                let reading = store.user_by_email(&email);
                if let Ok(stored) = timeout(patience, reading).await {
                    let user = stored.expect("an answer").expect("the user").user;
                    assert_eq!(user.id, id(number));
                    answered += 1;
                }
            }
            answered
        })
    });
    let mut answered = 0;
    for client in join_all(clients).await {
        answered += client.expect("every answer was one's own");
    }
    assert!(
        (1..640).contains(&answered),
        "some gave up, some did not: {answered}"
    );
    let patience = Instant::now() + Duration::from_secs(10);
    while texts(&database, BUSY).await != ["0"] {
        assert!(Instant::now() < patience, "a transaction was left behind");
        sleep(Duration::from_millis(20)).await;
    }
}

/// REL-09: a lock costs each request at most five seconds; what it asked for is stopped, and the pool is whole after.
#[tokio::test]
async fn a_locked_table_holds_nobody_for_long() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let store = database.store().await;
    insert_user(&store, 1).await;
    let rival = postgres(&database).await;
    let lock = "BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE";
    rival.batch_execute(lock).await.expect("locked");
    let begun = Instant::now();
    let requests = (0..30).map(|_| store.user_by_id(id(1)));
    for answer in join_all(requests).await {
        assert!(
            matches!(answer, Err(Error::DatabaseUnavailable(_))),
            "{answer:?}"
        );
    }
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    rival.batch_execute("ROLLBACK").await.expect("free");
    let requests = (0..30).map(|_| store.user_by_id(id(1)));
    for answer in join_all(requests).await {
        assert!(answer.expect("an answer").is_some());
    }
}

/// Neon ends idle connections; nobody may notice. REL-11
#[tokio::test]
async fn connections_that_the_server_ended_are_replaced_unseen() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let store = database.store().await;
    insert_user(&store, 1).await;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND application_name = 'gatewright'";
    for round in 0..10 {
        let requests = (0..20).map(|_| store.user_by_id(id(1)));
        for answer in join_all(requests).await {
            assert!(answer.expect("an answer").is_some());
        }
        let ended = texts(&database, end).await.len();
        assert!((1..=10).contains(&ended), "{ended} connections");
        let session = session(1000 + round, id(1));
        let done = store.sign_in(&session, HASH, HASH, &keys("ann")).await;
        assert!(done.expect("an answer") && is_live(&store, session.id).await);
    }
}

/// Whatever sits in between has an address of its own, and gets no named statement. REL-10
#[tokio::test]
async fn behind_a_pooler_no_statement_has_a_name() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let (direct, pooled) = (
        relay(&database, false, Duration::ZERO).await,
        relay(&database, true, Duration::ZERO).await,
    );
    assert_eq!(pooled.statement_names(), Vec::<String>::new());
    for (number, relay) in (1..).zip([&direct, &pooled]) {
        let pool = Postgres::new(&relay.url, Encryption::Plain).expect("a good URL");
        everything(&Store::postgres(pool), number).await;
    }
    let names = pooled.statement_names();
    assert!(!names.is_empty());
    assert!(names.iter().all(String::is_empty), "{names:?}");
}

/// PgBouncer 1.18 ends when a cancellation's connection closes early, and every user with it. A lock is given up by the
/// server itself all the same. REL-09, REL-10
#[tokio::test]
async fn behind_a_pooler_nothing_is_cancelled() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let pooled = relay(&database, true, Duration::ZERO).await;
    let pool = Postgres::new(&pooled.url, Encryption::Plain).expect("a good URL");
    let store = Store::postgres(pool);
    insert_user(&store, 1).await;
    let rival = postgres(&database).await;
    let lock = "BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE";
    rival.batch_execute(lock).await.expect("locked");
    let brief = Duration::from_millis(200);
    for _ in 0..5 {
        assert!(timeout(brief, store.user_by_id(id(1))).await.is_err());
    }
    let refused = store.disable_user(id(1), NOW).await;
    let cause = refused.err().and_then(|error| error.cause());
    let cause = cause.expect("a refusal");
    assert!(cause.contains("lock timeout"), "{cause}");
    rival.batch_execute("ROLLBACK").await.expect("free");
    assert!(store.user_by_id(id(1)).await.expect("an answer").is_some());
    assert_eq!(pooled.cancellations(), 0);
}

/// Callers give up, and the connections that they had asked for are ready after all. The pool does not keep them beside
/// its own: a small server has few to give. REL-11
#[tokio::test]
async fn a_server_that_woke_up_slowly_has_no_more_connections_than_the_pool() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let slow = relay(&database, true, Duration::from_secs(5)).await;
    let pool = Postgres::new(&slow.url, Encryption::Plain).expect("a good URL");
    let store = Store::postgres(pool);
    for expected in [0, 20] {
        let answers = join_all((0..20).map(|_| store.user_by_id(id(1)))).await;
        let answered = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(answered, expected, "too early, then in time: {answers:?}");
    }
    let ours = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                AND application_name = 'gatewright'";
    let patience = Instant::now() + Duration::from_secs(15);
    while texts(&database, ours).await[0]
        .parse::<usize>()
        .expect("a number")
        > 10
    {
        assert!(
            Instant::now() < patience,
            "{:?}",
            texts(&database, ours).await
        );
        sleep(Duration::from_millis(100)).await;
    }
}

async fn everything(store: &Store, number: u128) {
    insert_user(store, number).await;
    let session = session(1000 + number, id(number));
    let [client, account, pair] = keys("ann");
    let window = |key| Cap::Window {
        key,
        count: 100,
        window_ms: 60_000,
    };
    let backoff = Cap::Backoff {
        key: pair,
        count: 1,
    };
    let caps = [window(client), window(account), backoff];
    for _ in 0..2 {
        store.reserve(&caps, NOW).await.expect("an answer");
    }
    store.begin_wait("pair ann", NOW).await.expect("an answer");
    let done = store.sign_in(&session, HASH, "better", &keys("ann")).await;
    assert!(done.expect("an answer") && is_live(store, session.id).await);
    let renamed = store.update_name(id(number), None, NOW).await;
    assert_eq!(
        renamed.expect("an answer").expect("the user").updated_at,
        NOW + 1
    );
    let stored = store
        .user_by_email(&email(number))
        .await
        .expect("an answer");
    assert_eq!(
        stored.expect("the user").password_hash.as_deref(),
        Some("better")
    );
    let users = store.users_after(id(0), 10).await.expect("a page");
    assert_eq!(users.len() as u128, number);
    assert!(
        store
            .disable_user(id(number), NOW)
            .await
            .expect("an answer")
    );
    assert!(!is_live(store, session.id).await);
    assert_eq!(store.delete_expired(NOW, 10).await.expect("an answer"), 0);
    assert!(store.is_current().await.expect("an answer"));
}

/// A small stand-in for a pooler: it listens on a port of its own and notes what clients send.
struct Relay {
    url: String,
    sent: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// No connection comes through before `asleep` is over.
async fn relay(database: &Database, between: bool, asleep: Duration) -> Relay {
    let url = database.url();
    let sent = Arc::new(Mutex::new(Vec::new()));
    if !between {
        return Relay { url, sent };
    }
    let config: tokio_postgres::Config = url.parse().expect("a good URL");
    let server = ("127.0.0.1", config.get_ports()[0]);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (_, path) = url.rsplit_once('/').expect("a database");
    let user = config.get_user().expect("a user");
    let url = format!("postgres://{user}@127.0.0.1:{port}/{path}");
    let notes = sent.clone();
    tokio::spawn(async move {
        sleep(asleep).await;
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(server).await.expect("the server");
            tokio::spawn(pass_on(client, server, notes.clone()));
        }
    });
    Relay { url, sent }
}

async fn pass_on(client: TcpStream, server: TcpStream, notes: Arc<Mutex<Vec<Vec<u8>>>>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::spawn(async move { copy(&mut from_server, &mut to_client).await });
    let index = {
        let mut notes = notes.lock().expect("the notes");
        notes.push(Vec::new());
        notes.len() - 1
    };
    let mut buffer = vec![0; 8192];
    while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
        notes.lock().expect("the notes")[index].extend(&buffer[..length]);
        if to_server.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

impl Relay {
    /// How many connections were cancellations: 16 bytes, and a code in place of the protocol's version.
    fn cancellations(&self) -> usize {
        let sent = self.sent.lock().expect("the notes");
        let head = [0, 0, 0, 16, 4, 210, 22, 46];
        sent.iter()
            .filter(|stream| stream.starts_with(&head))
            .count()
    }

    /// The names in all Parse messages so far (PostgreSQL documentation, "Message Formats").
    fn statement_names(&self) -> Vec<String> {
        let sent = self.sent.lock().expect("the notes");
        let mut names = Vec::new();
        for stream in sent.iter() {
            let length_at = |at: usize| {
                let bytes = stream[at..at + 4].try_into().expect("four bytes");
                u32::from_be_bytes(bytes) as usize
            };
            // The start-up message alone has no kind before its length.
            let mut at = length_at(0);
            while at < stream.len() {
                if stream[at] == b'P' {
                    let name = stream[at + 5..].split(|byte| *byte == 0).next();
                    let name = name.expect("a name and its end").to_vec();
                    names.push(String::from_utf8(name).expect("UTF-8"));
                }
                at += 1 + length_at(at + 1);
            }
        }
        names
    }
}
