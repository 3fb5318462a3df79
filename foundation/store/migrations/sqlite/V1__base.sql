-- Tenants and what they sign in with. Secrets are sealed (AES-256-GCM).
CREATE TABLE account (
    account_sid     TEXT PRIMARY KEY,
    owner_sid       TEXT NOT NULL,
    friendly_name   TEXT NOT NULL,
    status          TEXT NOT NULL,
    type            TEXT NOT NULL,
    auth_token      BLOB NOT NULL,
    secondary_token BLOB,
    secondary_created BIGINT,
    test_sid        TEXT NOT NULL UNIQUE,
    test_token      BLOB NOT NULL,
    date_created    BIGINT NOT NULL,
    date_updated    BIGINT NOT NULL,
    version         BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX account_by_owner ON account (owner_sid, account_sid);

CREATE TABLE api_key (
    account_sid   TEXT NOT NULL,
    sid           TEXT PRIMARY KEY,
    friendly_name TEXT NOT NULL,
    kind          TEXT NOT NULL,
    policy        TEXT,
    secret        BLOB NOT NULL,
    date_created  BIGINT NOT NULL,
    date_updated  BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX api_key_by_account ON api_key (account_sid, sid);

-- The long tail of configuration resources: one JSON document each.
CREATE TABLE resource (
    account_sid  TEXT NOT NULL,
    kind         TEXT NOT NULL,
    parent       TEXT NOT NULL,
    sid          TEXT NOT NULL,
    body         TEXT NOT NULL,
    date_created BIGINT NOT NULL,
    date_updated BIGINT NOT NULL,
    version      BIGINT NOT NULL,
    PRIMARY KEY (account_sid, kind, parent, sid)
) WITHOUT ROWID;

-- Names that only one row may hold, within the scope written into the value:
-- an owned phone number, a unique name. Also the directory from value to owner.
CREATE TABLE claim (
    name        TEXT NOT NULL,
    value       TEXT NOT NULL,
    account_sid TEXT NOT NULL,
    sid         TEXT NOT NULL,
    PRIMARY KEY (name, value)
) WITHOUT ROWID;
CREATE INDEX claim_by_sid ON claim (account_sid, sid);

CREATE TABLE message (
    account_sid     TEXT NOT NULL,
    id              TEXT NOT NULL,
    prefix          TEXT NOT NULL,
    direction       TEXT NOT NULL,
    status          TEXT NOT NULL,
    from_addr       TEXT,
    to_addr         TEXT NOT NULL,
    body            TEXT NOT NULL,
    service_sid     TEXT,
    num_segments    BIGINT NOT NULL,
    num_media       BIGINT NOT NULL,
    error_code      BIGINT,
    price           TEXT,
    status_callback TEXT,
    extra           TEXT,
    date_created    BIGINT NOT NULL,
    date_sent       BIGINT,
    date_updated    BIGINT NOT NULL,
    version         BIGINT NOT NULL,
    PRIMARY KEY (account_sid, id)
) WITHOUT ROWID;
CREATE INDEX message_by_to ON message (account_sid, to_addr, id);
CREATE INDEX message_by_from ON message (account_sid, from_addr, id);

CREATE TABLE media (
    account_sid  TEXT NOT NULL,
    message_id   TEXT NOT NULL,
    id           TEXT NOT NULL,
    content_type TEXT NOT NULL,
    blob         TEXT NOT NULL,
    size         BIGINT NOT NULL,
    date_created BIGINT NOT NULL,
    PRIMARY KEY (account_sid, message_id, id)
) WITHOUT ROWID;

CREATE TABLE opt_out (
    account_sid  TEXT NOT NULL,
    scope        TEXT NOT NULL,
    address      TEXT NOT NULL,
    source       TEXT NOT NULL,
    date_created BIGINT NOT NULL,
    PRIMARY KEY (account_sid, scope, address)
) WITHOUT ROWID;

-- What was spent, by day and category; micro-dollars.
CREATE TABLE spend (
    account_sid TEXT NOT NULL,
    day         TEXT NOT NULL,
    category    TEXT NOT NULL,
    count       BIGINT NOT NULL,
    micros      BIGINT NOT NULL,
    PRIMARY KEY (account_sid, day, category)
) WITHOUT ROWID;

-- Promises: everything that must still happen.
CREATE TABLE job (
    id           TEXT PRIMARY KEY,
    account_sid  TEXT NOT NULL,
    queue        TEXT NOT NULL,
    lane         TEXT,
    payload      TEXT NOT NULL,
    due_at       BIGINT NOT NULL,
    leased_until BIGINT NOT NULL,
    attempt      BIGINT NOT NULL,
    last_error   TEXT
) WITHOUT ROWID;
CREATE INDEX job_by_due ON job (due_at, id);
CREATE INDEX job_by_lane ON job (lane, id) WHERE lane IS NOT NULL;

CREATE TABLE dead_job (
    id           TEXT PRIMARY KEY,
    account_sid  TEXT NOT NULL,
    queue        TEXT NOT NULL,
    lane         TEXT,
    payload      TEXT NOT NULL,
    attempt      BIGINT NOT NULL,
    last_error   TEXT,
    died_at      BIGINT NOT NULL
) WITHOUT ROWID;

-- What happened, in commit order; what watchers read.
CREATE TABLE event (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    account_sid TEXT NOT NULL,
    kind        TEXT NOT NULL,
    sid         TEXT NOT NULL,
    at          BIGINT NOT NULL,
    body        TEXT NOT NULL
);

-- Recorded webhooks hold what was said: redacting a message finds them here.
CREATE INDEX event_of_webhook ON event (account_sid, sid) WHERE kind = 'webhook';

-- A carrier's own durable notes.
CREATE TABLE carrier_note (
    carrier    TEXT NOT NULL,
    note       TEXT NOT NULL,
    value      TEXT NOT NULL,
    PRIMARY KEY (carrier, note)
) WITHOUT ROWID;

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
