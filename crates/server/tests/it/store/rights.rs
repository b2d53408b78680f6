//! What the server needs to be allowed on PostgreSQL.

use gatewright::store::{Encryption, Postgres, Store};

use crate::support::Database;

fn store_as(role: &str, url: &str) -> Store {
    let (_, location) = url.split_once('@').expect("a URL with a user");
    let url = format!("postgres://{role}@{location}");
    Store::postgres(Postgres::new(&url, Encryption::Plain).expect("a good URL"))
}

/// A role of one test's own: roles belong to the cluster, which other runs share.
fn role(name: &str) -> String {
    format!("{name}_{}", std::process::id())
}

// SEC-76
#[tokio::test]
async fn a_role_without_the_right_to_create_tables_starts_on_a_current_schema() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let role = role("rows_only");
    let grants = format!(
        "CREATE ROLE {role} LOGIN; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON users, sessions, limits TO {role}; \
         GRANT SELECT ON schema_migrations TO {role}"
    );
    database.execute(&grants).await;
    let store = store_as(&role, &database.url());
    let migrated = store.migrate().await;
    let is_current = store.is_current().await;
    database
        .execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
        .await;
    assert!(migrated.is_ok(), "{migrated:?}");
    assert!(matches!(is_current, Ok(true)), "{is_current:?}");
}
