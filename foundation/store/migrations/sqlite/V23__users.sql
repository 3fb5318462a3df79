-- Who may use the console. Passwords are Argon2id hashes; sessions are digests of their tokens.
CREATE TABLE console_user (
    name         TEXT PRIMARY KEY,
    role         TEXT NOT NULL,
    password     TEXT NOT NULL,
    date_created BIGINT NOT NULL,
    date_updated BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE console_session (
    token        TEXT PRIMARY KEY,
    user_name    TEXT NOT NULL,
    ends         BIGINT NOT NULL,
    date_created BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX console_session_by_user ON console_session (user_name);

-- Attempts to sign in that failed, by user and by address.
CREATE TABLE console_attempt (
    who      TEXT PRIMARY KEY,
    since    BIGINT NOT NULL,
    failures BIGINT NOT NULL
) WITHOUT ROWID;
