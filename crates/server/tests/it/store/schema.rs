//! The two schemas are one: what both databases say of themselves is compared line by line.

use super::texts;
use crate::support::Database;

const SQLITE: [&str; 4] = [
    "SELECT format('column %s.%s %s%s', t.name, c.name, \
         CASE c.type WHEN 'BLOB' THEN 'uuid' WHEN 'INTEGER' THEN 'bigint' ELSE lower(c.type) END, \
         CASE c.\"notnull\" WHEN 1 THEN ' not null' ELSE '' END) \
     FROM pragma_table_list t JOIN pragma_table_info(t.name) c \
     WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite_%'",
    "SELECT format('key %s (%s)', t.name, (SELECT group_concat(name, ', ') FROM pragma_table_info(t.name) WHERE pk > 0)) \
     FROM pragma_table_list t WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite_%'",
    "SELECT format('index %s %s on %s (%s)', i.name, CASE i.\"unique\" WHEN 1 THEN 'unique' ELSE 'plain' END, t.name, \
         (SELECT group_concat(name, ', ') FROM pragma_index_info(i.name))) \
     FROM pragma_table_list t JOIN pragma_index_list(t.name) i WHERE i.origin <> 'pk'",
    "SELECT format('reference %s (%s) to %s (%s) on delete %s on update %s', t.name, f.\"from\", f.\"table\", f.\"to\", \
         lower(f.on_delete), lower(f.on_update)) \
     FROM pragma_table_list t JOIN pragma_foreign_key_list(t.name) f",
];

const POSTGRES: [&str; 4] = [
    "SELECT format('column %s.%s %s%s', table_name, column_name, data_type, \
         CASE is_nullable WHEN 'NO' THEN ' not null' ELSE '' END) \
     FROM information_schema.columns WHERE table_schema = 'public'",
    "SELECT format('key %s (%s)', i.indrelid::regclass, string_agg(a.attname, ', ' ORDER BY a.attnum)) \
     FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indexrelid \
     WHERE i.indisprimary AND i.indrelid::regclass::text !~ '^pg_|^information_schema' GROUP BY i.indrelid",
    "SELECT format('index %s %s on %s (%s)', i.indexrelid::regclass, CASE WHEN i.indisunique THEN 'unique' ELSE 'plain' END, \
         i.indrelid::regclass, string_agg(a.attname, ', ' ORDER BY a.attnum)) \
     FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indexrelid JOIN pg_class c ON c.oid = i.indexrelid \
     WHERE NOT i.indisprimary AND c.relnamespace = 'public'::regnamespace GROUP BY i.indexrelid, i.indrelid, i.indisunique",
    "SELECT format('reference %s (%s) to %s (%s) on delete %s on update %s', r.conrelid::regclass, f.attname, \
         r.confrelid::regclass, t.attname, CASE r.confdeltype WHEN 'c' THEN 'cascade' ELSE 'no action' END, \
         CASE r.confupdtype WHEN 'c' THEN 'cascade' ELSE 'no action' END) \
     FROM pg_constraint r JOIN pg_attribute f ON f.attrelid = r.conrelid AND f.attnum = r.conkey[1] \
     JOIN pg_attribute t ON t.attrelid = r.confrelid AND t.attnum = r.confkey[1] WHERE r.contype = 'f'",
];

/// One sorted line for each column, key, index and reference.
async fn schema(database: &Database) -> Vec<String> {
    let queries = match database.file() {
        Some(_) => SQLITE,
        None => POSTGRES,
    };
    let mut lines = Vec::new();
    for query in queries {
        lines.extend(texts(database, query).await);
    }
    lines.sort();
    lines
}

// T013
#[tokio::test]
async fn both_databases_have_one_schema() {
    let sqlite = schema(&Database::sqlite()).await;
    // So that two empty answers, or a query that overlooks a kind, cannot pass for agreement.
    for line in [
        "column users.email text not null",
        "column users.password_hash text",
        "key sessions (id)",
        "index users_email_key unique on users (email)",
        "index sessions_expires_at_idx plain on sessions (expires_at)",
        "reference sessions (user_id) to users (id) on delete cascade on update no action",
    ] {
        assert!(
            sqlite.iter().any(|found| found == line),
            "{line}: {sqlite:#?}"
        );
    }
    if let Some(postgres) = Database::postgres().await {
        assert_eq!(schema(&postgres).await, sqlite);
    }
}

/// SQLite compares text byte by byte; so must PostgreSQL, whatever language the operator gave the database.
#[tokio::test]
async fn text_keys_are_compared_by_bytes() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let collations = "SELECT format('%s.%s %s', table_name, column_name, collation_name) FROM information_schema.columns \
                      WHERE table_schema = 'public' AND collation_name IS NOT NULL ORDER BY 1";
    assert_eq!(
        texts(&database, collations).await,
        ["limits.key C", "users.email C"]
    );
}

/// STRICT keeps a wrong type out, as PostgreSQL does; without a rowid a UUID is the place of its row.
#[tokio::test]
async fn sqlite_tables_are_strict() {
    let database = Database::sqlite();
    let loose = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND NOT (strict AND wr) \
                 AND name NOT IN ('sqlite_schema', 'schema_migrations')";
    assert_eq!(texts(&database, loose).await, Vec::<String>::new());
}
