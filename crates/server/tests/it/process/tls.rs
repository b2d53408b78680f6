//! TLS to PostgreSQL: encrypted, to the server that is meant, or not at all.

use tokio_postgres::NoTls;

use super::support::Setup;
use crate::support::{Database, PASSWORD, authority};

/// A server's settings on `database`, with the host and the TLS parameters of the URL.
fn setup(database: &Database, host: &str, parameters: &str) -> Setup {
    let url = database.url().replace("127.0.0.1", host);
    Setup::on(database).with("DATABASE_URL", &format!("{url}?{parameters}"))
}

// SEC-82
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verified_connection_is_encrypted() {
    let (Some(database), Some(authority)) = (Database::postgres().await, authority()) else {
        return;
    };
    let parameters = format!("sslmode=verify-full&sslrootcert={authority}");
    let server = setup(&database, "127.0.0.1", &parameters).serve();
    let client = server.client();
    client.register("ann");
    assert_eq!(client.login("ann", PASSWORD).status, 200);

    let (reader, connection) = tokio_postgres::connect(&database.url(), NoTls)
        .await
        .expect("PostgreSQL");
    tokio::spawn(connection);
    let query = "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                 WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let rows = reader.query(query, &[]).await.expect("an answer");
    assert!(!rows.is_empty(), "the server is connected");
    assert!(rows.iter().all(|row| row.get::<_, bool>(0)), "{rows:?}");
}

// SEC-82
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_is_taken_for_the_server() {
    let (Some(database), Some(authority)) = (Database::postgres().await, authority()) else {
        return;
    };
    let known = format!("sslmode=verify-full&sslrootcert={authority}");
    for (host, parameters) in [
        // A certificate that nobody vouches for, and one that is somebody else's.
        ("127.0.0.1", "sslmode=verify-full"),
        ("localhost", known.as_str()),
    ] {
        let outcome = setup(&database, host, parameters).run(&["migrate"]);
        assert_eq!(outcome.code, Some(1), "{host}, {parameters}: {outcome:?}");
        let complaint = outcome.stderr.to_lowercase();
        assert!(complaint.contains("certificate"), "{outcome:?}");
        assert_eq!(complaint.lines().count(), 1, "{outcome:?}");
    }
}
