//! What outlives `kill -9`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::http::{Http, sign_up};
use super::support::{Setup, eventually};
use crate::support::{Database, PASSWORD};

on_both!(
    sessions_and_their_ends_survive,
    a_kill_gives_no_further_guesses
);

const KILLS: u64 = 20;
const WRITERS: u64 = 4;

// SEC-37, REL-01
async fn sessions_and_their_ends_survive(database: Database) {
    let setup = Setup::on(&database);
    let server = setup.serve();
    let stays = server.client().register("ann");
    let leaves = server
        .client()
        .with_token(server.client().login("ann", PASSWORD).access_token());
    assert_eq!(leaves.logout().status, 200);
    server.kill();
    let server = setup.serve();
    assert_eq!(stays.at(&server).profile().status, 200);
    assert_eq!(
        leaves.at(&server).profile().refusal(),
        (401, "Invalid token")
    );
    assert_eq!(server.client().login("ann", PASSWORD).status, 200);
}

// REL-32, SEC-20
async fn a_kill_gives_no_further_guesses(database: Database) {
    let setup = Setup::on(&database).with("GATEWRIGHT_LOGIN_FAILURE_LIMIT", "4");
    let server = setup.serve();
    server.client().register("ann");
    let guess = |client: &Http| client.login("ann", "wrong-horse-7").status;
    assert_eq!(
        [guess(&server.client()), guess(&server.client())],
        [401, 401]
    );
    server.kill();
    let server = setup.serve();
    assert_eq!(
        [guess(&server.client()), guess(&server.client())],
        [401, 401]
    );
    server.kill();
    let server = setup.serve();
    let reply = server.client().login("ann", PASSWORD);
    assert_eq!(reply.status, 429, "{reply:?}");
    assert!(
        reply
            .header("retry-after")
            .parse::<u32>()
            .is_ok_and(|seconds| seconds > 0)
    );
}

/// What became of the sign-ups of one name: the token where it was answered.
type Attempts = BTreeMap<String, Option<String>>;

// REL-01, REL-02
#[test]
fn acknowledged_sign_ups_survive_and_no_email_is_half_taken() {
    let database = Database::sqlite();
    let setup = Setup::on(&database).with("GATEWRIGHT_CLIENT_FAILURE_LIMIT", "off");
    let mut attempts = Attempts::new();
    for round in 0..KILLS {
        let server = setup.serve();
        let client = server.client();
        let acknowledged = Arc::new(AtomicU64::new(0));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (client, acknowledged) = (client.clone(), acknowledged.clone());
                let prefix = format!("u{round}-{writer}");
                thread::spawn(move || sign_up_until_killed(&client, &prefix, &acknowledged))
            })
            .collect();
        eventually("an acknowledgement", || {
            (acknowledged.load(Ordering::SeqCst) > round % WRITERS).then_some(())
        });
        // Another moment of hashing and writing in every round.
        thread::sleep(Duration::from_millis(round * 3));
        server.kill();
        for writer in writers {
            attempts.extend(writer.join().expect("a writer"));
        }
    }
    let connection =
        rusqlite::Connection::open(database.file().expect("a file")).expect("the database");
    let verdict: String = connection
        .query_row("PRAGMA integrity_check", (), |row| row.get(0))
        .expect("a verdict");
    assert_eq!(verdict, "ok");
    drop(connection);

    let server = setup.serve();
    let client = server.client();
    let (acknowledged, open): (Vec<_>, Vec<_>) =
        attempts.into_iter().partition(|(_, token)| token.is_some());
    assert!(
        acknowledged.len() > 20 && open.len() > 20,
        "{} and {}",
        acknowledged.len(),
        open.len()
    );
    for (name, token) in &acknowledged {
        let token = token.as_deref().expect("the acknowledged have one");
        assert_eq!(client.with_token(token).profile().status, 200, "{name}");
    }
    let (name, _) = &acknowledged[0];
    assert_eq!(client.login(name, PASSWORD).status, 200);
    let probes: Vec<_> = open
        .chunks(open.len().div_ceil(4))
        .map(|chunk| {
            let (client, names) = (client.clone(), chunk.to_vec());
            thread::spawn(move || {
                for (name, _) in names {
                    assert_is_whole(&client, &name);
                }
            })
        })
        .collect();
    for probe in probes {
        probe.join().expect("whole accounts");
    }
}

/// An e-mail that nobody was told about belongs either to nobody or to whoever knows the password.
fn assert_is_whole(client: &Http, name: &str) {
    let status = client.post("/api/auth/register", &sign_up(name)).status;
    let whole = status == 201 || (status == 409 && client.login(name, PASSWORD).status == 200);
    assert!(whole, "{name}: {status}");
}

fn sign_up_until_killed(client: &Http, prefix: &str, acknowledged: &AtomicU64) -> Attempts {
    let mut attempts = Attempts::new();
    for number in 0.. {
        let name = format!("{prefix}-{number}");
        let reply = client.try_send("POST", "/api/auth/register", Some(&sign_up(&name)));
        let Ok(reply) = reply else {
            attempts.insert(name, None);
            break;
        };
        assert_eq!(reply.status, 201, "{reply:?}");
        acknowledged.fetch_add(1, Ordering::SeqCst);
        attempts.insert(name, Some(reply.access_token().to_owned()));
    }
    attempts
}
