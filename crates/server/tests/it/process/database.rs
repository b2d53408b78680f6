//! Databases that cannot be used, and one that comes late.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::support::{Outcome, Setup, eventually};
use crate::support::{Database, PASSWORD, SECRET};

on_both!(
    a_newer_schema_is_refused,
    serve_needs_nothing_but_a_database_and_a_secret
);

/// Runs `serve` and gives its last words, which name the setting or the file.
fn gives_up(setup: &Setup) -> String {
    let outcome = setup.run(&["serve"]);
    // REL-35
    assert!(outcome.took < Duration::from_secs(2), "{outcome:?}");
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    complaints(&outcome)
}

/// The one line that is not of the log.
fn complaints(outcome: &Outcome) -> String {
    let mut lines = outcome
        .stderr
        .lines()
        .filter(|line| line.starts_with("gatewright: "));
    let line = lines.next().expect("a complaint").to_owned();
    assert_eq!(lines.next(), None, "{outcome:?}");
    line
}

fn on_file(path: &Path) -> Setup {
    Setup::bare()
        .with("BETTER_AUTH_SECRET", SECRET)
        .with("PORT", "0")
        .with("DATABASE_URL", &format!("sqlite://{}", path.display()))
}

// REL-15
#[test]
fn a_file_that_is_not_ours_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("accounts.db");
    let mut damaged = std::fs::read(Database::sqlite().file().expect("a file")).expect("its bytes");
    damaged[..16].fill(b'x');
    let contents = [
        b"my diary\n".to_vec(),
        Vec::new(),
        vec![0; 8192],
        b"SQLite format 3\0".to_vec(),
        damaged,
    ];
    for content in contents {
        std::fs::write(&file, &content).expect("a file");
        mode(&file, 0o600);
        let line = gives_up(&on_file(&file));
        assert!(
            line.contains("DATABASE_URL: ") && line.contains("accounts.db: "),
            "{line}"
        );
        assert!(std::fs::read(&file).expect("the file") == content, "{line}");
    }
    let foreign = directory.path().join("foreign.db");
    let connection = rusqlite::Connection::open(&foreign).expect("a database");
    connection
        .execute_batch("CREATE TABLE diary (page TEXT)")
        .expect("a table");
    drop(connection);
    mode(&foreign, 0o600);
    assert!(gives_up(&on_file(&foreign)).contains("not a Gatewright database"));
}

// REL-15
#[test]
fn a_place_where_no_file_can_be_is_named() {
    let line = gives_up(&on_file(Path::new("/nonexistent/directory/accounts.db")));
    assert!(
        line.contains("DATABASE_URL: /nonexistent/directory/accounts.db: "),
        "{line}"
    );
    let directory = tempfile::tempdir().expect("a directory");
    let line = gives_up(&on_file(directory.path()));
    assert!(line.contains("not a Gatewright database"), "{line}");
}

// SEC-78
#[test]
fn a_file_that_others_may_read_is_refused_and_a_new_one_is_ours_alone() {
    let setup = Setup::bare()
        .with("BETTER_AUTH_SECRET", SECRET)
        .with("PORT", "0");
    let server = setup.serve();
    server.client().register("ann");
    for name in ["gatewright.db", "gatewright.db-wal", "gatewright.db-shm"] {
        let metadata = std::fs::metadata(setup.directory().join(name)).expect(name);
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{name}");
    }
    drop(server);
    mode(&setup.directory().join("gatewright.db"), 0o644);
    let line = gives_up(&setup);
    assert!(line.contains("chmod 600"), "{line}");
    mode(&setup.directory().join("gatewright.db"), 0o600);
    assert_eq!(setup.serve().client().login("ann", PASSWORD).status, 200);
}

fn mode(file: &Path, mode: u32) {
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).expect("a mode");
}

// REL-29
async fn a_newer_schema_is_refused(database: Database) {
    database
        .execute("INSERT INTO schema_migrations (version, name) VALUES (9999, 'later')")
        .await;
    let line = gives_up(&Setup::on(&database));
    assert!(line.contains("9999") && line.contains("newer"), "{line}");
    let migrate = Setup::on(&database).run(&["migrate"]);
    assert_eq!(migrate.code, Some(1));
    assert!(complaints(&migrate).contains("newer"), "{migrate:?}");
}

async fn serve_needs_nothing_but_a_database_and_a_secret(database: Database) {
    let setup = Setup::bare()
        .with("DATABASE_URL", &database.url())
        .with("BETTER_AUTH_SECRET", SECRET)
        .with("PORT", "0");
    let server = setup.serve();
    assert!(server.address.ip().is_loopback());
    assert_eq!(server.client().register("ann").profile().status, 200);
    assert_eq!(server.client().get("/docs").status, 404);
    assert_eq!(server.client().get("/openapi.json").status, 404);
}

// REL-35
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_postgres_will_never_allow_stops_the_start() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let (server, _) = database
        .url()
        .rsplit_once('/')
        .map(|(server, name)| (server.to_owned(), name.to_owned()))
        .expect("a URL");
    let missing = format!("{server}/gatewright_nowhere");
    let stranger = database
        .url()
        .replace("gatewright@", "nobody_knows:hunter2@");
    for (url, words) in [(missing, "gatewright_nowhere"), (stranger, "nobody_knows")] {
        let line = gives_up(&Setup::on(&database).with("DATABASE_URL", &url));
        assert!(
            line.contains("DATABASE_URL: ") && line.contains(words),
            "{line}"
        );
        assert!(!line.contains("hunter2"), "{line}");
        let command = Setup::on(&database)
            .with("DATABASE_URL", &url)
            .run(&["user", "list"]);
        assert_eq!(command.code, Some(1), "{command:?}");
        assert!(
            complaints(&command).starts_with("gatewright: DATABASE_URL: "),
            "{command:?}"
        );
    }
}

// REL-35
#[test]
fn a_wrong_password_for_postgres_stops_the_start() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 1024]);
            let fields = b"SFATAL\0C28P01\0Mpassword authentication failed for user \"ann\"\0\0";
            let length = u32::try_from(fields.len() + 4).expect("a short message");
            let _ = stream.write_all(&[b"E", &length.to_be_bytes()[..], fields].concat());
        }
    });
    let setup = Setup::bare()
        .with("BETTER_AUTH_SECRET", SECRET)
        .with("PORT", "0")
        .with(
            "DATABASE_URL",
            &format!("postgres://ann:hunter2@{address}/accounts"),
        );
    let line = gives_up(&setup);
    assert!(line.contains("DATABASE_URL: "), "{line}");
    assert!(line.contains("password authentication failed"), "{line}");
    assert!(!line.contains("hunter2"), "{line}");
}

// REL-35
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_waits_for_a_postgres_that_is_absent() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let reserved = TcpListener::bind("127.0.0.1:0").expect("a port");
    let door = reserved.local_addr().expect("an address");
    drop(reserved);
    let url = database.url();
    let address = url.split(['@', '/']).nth(3).expect("host and port");
    let late = url.replace(address, &door.to_string());
    let server = Setup::on(&database)
        .with("DATABASE_URL", &late)
        .start("serve");
    let client = server.client();
    server.log().wait_for("the database is not available");
    assert_eq!(client.get("/health").status, 200);
    for path in ["/ready", "/api/auth/profile"] {
        let reply = client.get(path);
        assert_eq!(
            (reply.status, &reply.body["code"]),
            (503, &"not_ready".into()),
            "{path}"
        );
    }
    assert_eq!(client.login("ann", PASSWORD).status, 503);

    let address: SocketAddr = address.parse().expect("an address");
    let listener = eventually("the port", || TcpListener::bind(door).ok());
    thread::spawn(move || forward(&listener, address));
    server.wait_until_ready();
    assert_eq!(client.register("ann").profile().status, 200);
}

#[test]
fn a_server_without_its_postgres_can_be_stopped() {
    let reserved = TcpListener::bind("127.0.0.1:0").expect("a port");
    let door = reserved.local_addr().expect("an address");
    drop(reserved);
    let setup = Setup::bare()
        .with("BETTER_AUTH_SECRET", SECRET)
        .with("PORT", "0")
        .with("DATABASE_URL", &format!("postgres://ann@{door}/accounts"));
    let mut server = setup.start("serve");
    server.log().wait_for("the database is not available");
    server.terminate();
    assert_eq!(server.exit().code(), Some(0));
}

/// Connects whoever comes to `listener` with `address`.
fn forward(listener: &TcpListener, address: SocketAddr) {
    for inner in listener.incoming().map_while(Result::ok) {
        let outer = TcpStream::connect(address).expect("PostgreSQL");
        for (from, to) in [(&inner, &outer), (&outer, &inner)] {
            let (mut from, mut to) = (
                from.try_clone().expect("a copy"),
                to.try_clone().expect("a copy"),
            );
            thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
        }
    }
}
