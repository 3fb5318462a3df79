-- Verifications. The code is a keyed hash to be checked against, and sealed for as long as it may
-- have to be sent again; both go when the verification ends.
CREATE TABLE verification (
    account_sid  TEXT COLLATE "C" NOT NULL,
    sid          TEXT COLLATE "C" NOT NULL,
    service_sid  TEXT COLLATE "C" NOT NULL,
    to_addr      TEXT COLLATE "C" NOT NULL,
    channel      TEXT COLLATE "C" NOT NULL,
    status       TEXT COLLATE "C" NOT NULL,
    live         BIGINT NOT NULL,
    sends        BIGINT NOT NULL,
    checks       BIGINT NOT NULL,
    code_hash    BYTEA,
    code_sealed  BYTEA,
    amount       TEXT COLLATE "C",
    payee        TEXT COLLATE "C",
    country      TEXT COLLATE "C" NOT NULL,
    extra        TEXT COLLATE "C" NOT NULL,
    date_created BIGINT NOT NULL,
    date_updated BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    version      BIGINT NOT NULL,
    PRIMARY KEY (account_sid, sid)
);
-- One at a time for a recipient; what a check finds it by.
CREATE UNIQUE INDEX verification_live ON verification (account_sid, service_sid, to_addr)
    WHERE live = 1;

CREATE TABLE verification_attempt (
    account_sid      TEXT COLLATE "C" NOT NULL,
    sid              TEXT COLLATE "C" NOT NULL,
    service_sid      TEXT COLLATE "C" NOT NULL,
    verification_sid TEXT COLLATE "C" NOT NULL,
    to_addr          TEXT COLLATE "C" NOT NULL,
    prefix           TEXT COLLATE "C" NOT NULL,
    country          TEXT COLLATE "C" NOT NULL,
    channel          TEXT COLLATE "C" NOT NULL,
    converted        BIGINT NOT NULL,
    message_status   TEXT COLLATE "C",
    error_code       BIGINT,
    data             TEXT COLLATE "C" NOT NULL,
    date_created     BIGINT NOT NULL,
    date_updated     BIGINT NOT NULL,
    PRIMARY KEY (account_sid, sid)
);
CREATE INDEX verification_attempt_of ON verification_attempt (account_sid, verification_sid, sid);
CREATE INDEX verification_attempt_to ON verification_attempt (account_sid, service_sid, prefix, sid);

-- How often something happened in a window that ends at expires_at.
CREATE TABLE verify_counter (
    account_sid TEXT COLLATE "C" NOT NULL,
    name        TEXT COLLATE "C" NOT NULL,
    count       BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    PRIMARY KEY (account_sid, name)
);
CREATE INDEX verify_counter_by_end ON verify_counter (account_sid, expires_at);
