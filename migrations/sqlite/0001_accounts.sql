-- Times are Unix milliseconds. Ids are UUIDs (version 7), 16 bytes.

CREATE TABLE users (
    id            BLOB    NOT NULL PRIMARY KEY,
    email         TEXT    NOT NULL,              -- canonical e-mail
    name          TEXT    NOT NULL,
    password_hash TEXT,                          -- null: an account without password
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    disabled_at   INTEGER                        -- null: active
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX users_email_key ON users (email);

-- A row is a live session; sign-out deletes it.
CREATE TABLE sessions (
    id         BLOB    NOT NULL PRIMARY KEY,
    user_id    BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_user_id_idx ON sessions (user_id);
CREATE INDEX sessions_expires_at_idx ON sessions (expires_at);

-- Counters of failures; the key is a digest, so no address or e-mail is kept here.
CREATE TABLE limits (
    key           TEXT    NOT NULL PRIMARY KEY,
    failures      INTEGER NOT NULL,
    blocked_until INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX limits_expires_at_idx ON limits (expires_at);
