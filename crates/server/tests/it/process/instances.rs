//! Several instances on one database, and the change of the shared secret.

use std::thread;
use std::time::Duration;

use super::support::{Server, Setup};
use crate::support::{Database, PASSWORD, SECRET};

on_both!(
    instances_share_sessions_limits_and_emails,
    four_instances_migrate_an_empty_database_at_once,
    a_killed_migration_can_be_run_again,
    rotating_the_secret_signs_nobody_out,
);

// REL-31, SEC-37
async fn instances_share_sessions_limits_and_emails(database: Database) {
    let setup = Setup::on(&database).with("GATEWRIGHT_LOGIN_FAILURE_LIMIT", "3");
    let (a, b) = (setup.serve(), setup.serve());
    let ann = a.client().register("ann");
    assert_eq!(ann.at(&b).profile().status, 200);
    let again = b
        .client()
        .post("/api/auth/register", &super::http::sign_up("ann"));
    assert_eq!(again.status, 409);
    for _ in 0..4 {
        let session = ann.with_token(b.client().login("ann", PASSWORD).access_token());
        assert_eq!(session.at(&a).profile().status, 200);
        assert_eq!(session.at(&a).logout().status, 200);
        assert_eq!(session.at(&b).profile().refusal(), (401, "Invalid token"));
    }
    assert_eq!(ann.at(&b).profile().status, 200);

    let guesses = [&a, &b, &a].map(|server| server.client().login("ann", "wrong-horse-7").status);
    assert_eq!(guesses, [401; 3]);
    assert_eq!(b.client().login("ann", PASSWORD).status, 429);
    assert_eq!(a.client().login("ann", PASSWORD).status, 429);
}

/// Takes everything away, so that the next start finds nothing.
async fn empty(database: &Database) {
    match database.file() {
        Some(file) => std::fs::remove_file(file).expect("the file"),
        None => {
            database
                .execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
                .await
        }
    }
}

// REL-29
async fn four_instances_migrate_an_empty_database_at_once(database: Database) {
    empty(&database).await;
    let setup = Setup::on(&database);
    let starting: Vec<_> = (0..4)
        .map(|_| {
            let setup = setup.clone();
            thread::spawn(move || setup.serve())
        })
        .collect();
    let servers: Vec<Server> = starting
        .into_iter()
        .map(|server| server.join().expect("a server"))
        .collect();
    let ann = servers[0].client().register("ann");
    for server in &servers {
        assert_eq!(ann.at(server).profile().status, 200);
    }
}

// REL-29
async fn a_killed_migration_can_be_run_again(database: Database) {
    empty(&database).await;
    let setup = Setup::on(&database);
    for delay in 0..12 {
        let mut child = setup.command(&["migrate"]).spawn().expect("a process");
        thread::sleep(Duration::from_millis(delay * 4));
        child.kill().expect("a child of ours");
        child.wait().expect("a child of ours");
    }
    let server = setup.serve();
    assert_eq!(server.client().register("ann").profile().status, 200);
    if let Some(directory) = database.file().and_then(std::path::Path::parent) {
        let drafts = std::fs::read_dir(directory)
            .expect("the directory")
            .filter_map(Result::ok);
        let drafts: Vec<_> = drafts.map(|entry| entry.file_name()).collect();
        // What a killed process leaves behind is never taken for a database.
        assert!(drafts.iter().any(|name| name == "test.db"), "{drafts:?}");
    }
}

// SEC-80
async fn rotating_the_secret_signs_nobody_out(database: Database) {
    let new = "another-secret-fedcba9876543210-fedcba";
    let setup = Setup::on(&database);
    let server = setup.serve();
    let early = server.client().register("ann");
    drop(server);

    let both = setup
        .clone()
        .with("BETTER_AUTH_SECRETS", &format!("2:{new},1:{SECRET}"));
    let server = both.serve();
    let early = early.at(&server);
    assert_eq!(early.profile().status, 200);
    let late = server
        .client()
        .with_token(server.client().login("ann", PASSWORD).access_token());
    assert_eq!(late.profile().status, 200);
    drop(server);

    // A forgotten BETTER_AUTH_SECRET with the old text does not keep the old tokens alive.
    let server = setup
        .with("BETTER_AUTH_SECRETS", &format!("2:{new}"))
        .serve();
    assert_eq!(late.at(&server).profile().status, 200);
    assert_eq!(
        early.at(&server).profile().refusal(),
        (401, "Invalid token")
    );
}
