-- Times are Unix milliseconds. Ids are UUIDs (version 7).

CREATE TABLE users (
    id            UUID   NOT NULL PRIMARY KEY,
    email         TEXT   COLLATE "C" NOT NULL,   -- canonical e-mail
    name          TEXT   NOT NULL,
    password_hash TEXT,                          -- null: an account without password
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    disabled_at   BIGINT                         -- null: active
);
CREATE UNIQUE INDEX users_email_key ON users (email);

-- A row is a live session; sign-out deletes it.
CREATE TABLE sessions (
    id         UUID   NOT NULL PRIMARY KEY,
    user_id    UUID   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_user_id_idx ON sessions (user_id);
CREATE INDEX sessions_expires_at_idx ON sessions (expires_at);

-- Counters of failures; the key is a digest, so no address or e-mail is kept here.
CREATE TABLE limits (
    key           TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    failures      BIGINT NOT NULL,
    blocked_until BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL
);
CREATE INDEX limits_expires_at_idx ON limits (expires_at);
