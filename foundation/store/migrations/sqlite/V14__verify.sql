-- Verifications. The code is a keyed hash to be checked against, and sealed for as long as it may
-- have to be sent again; both go when the verification ends.
CREATE TABLE verification (
    account_sid  TEXT NOT NULL,
    sid          TEXT NOT NULL,
    service_sid  TEXT NOT NULL,
    to_addr      TEXT NOT NULL,
    channel      TEXT NOT NULL,
    status       TEXT NOT NULL,
    live         BIGINT NOT NULL,
    sends        BIGINT NOT NULL,
    checks       BIGINT NOT NULL,
    code_hash    BLOB,
    code_sealed  BLOB,
    amount       TEXT,
    payee        TEXT,
    country      TEXT NOT NULL,
    extra        TEXT NOT NULL,
    date_created BIGINT NOT NULL,
    date_updated BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    version      BIGINT NOT NULL,
    PRIMARY KEY (account_sid, sid)
) WITHOUT ROWID;
-- One at a time for a recipient; what a check finds it by.
CREATE UNIQUE INDEX verification_live ON verification (account_sid, service_sid, to_addr)
    WHERE live = 1;

CREATE TABLE verification_attempt (
    account_sid      TEXT NOT NULL,
    sid              TEXT NOT NULL,
    service_sid      TEXT NOT NULL,
    verification_sid TEXT NOT NULL,
    to_addr          TEXT NOT NULL,
    prefix           TEXT NOT NULL,
    country          TEXT NOT NULL,
    channel          TEXT NOT NULL,
    converted        BIGINT NOT NULL,
    message_status   TEXT,
    error_code       BIGINT,
    data             TEXT NOT NULL,
    date_created     BIGINT NOT NULL,
    date_updated     BIGINT NOT NULL,
    PRIMARY KEY (account_sid, sid)
) WITHOUT ROWID;
CREATE INDEX verification_attempt_of ON verification_attempt (account_sid, verification_sid, sid);
CREATE INDEX verification_attempt_to ON verification_attempt (account_sid, service_sid, prefix, sid);

-- How often something happened in a window that ends at expires_at.
CREATE TABLE verify_counter (
    account_sid TEXT NOT NULL,
    name        TEXT NOT NULL,
    count       BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    PRIMARY KEY (account_sid, name)
) WITHOUT ROWID;
CREATE INDEX verify_counter_by_end ON verify_counter (account_sid, expires_at);
