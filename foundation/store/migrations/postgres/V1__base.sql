-- Tenants and what they sign in with. Secrets are sealed (AES-256-GCM).
CREATE TABLE account (
    account_sid     TEXT COLLATE "C" PRIMARY KEY,
    owner_sid       TEXT COLLATE "C" NOT NULL,
    friendly_name   TEXT COLLATE "C" NOT NULL,
    status          TEXT COLLATE "C" NOT NULL,
    type            TEXT COLLATE "C" NOT NULL,
    auth_token      BYTEA NOT NULL,
    secondary_token BYTEA,
    secondary_created BIGINT,
    test_sid        TEXT COLLATE "C" NOT NULL UNIQUE,
    test_token      BYTEA NOT NULL,
    date_created    BIGINT NOT NULL,
    date_updated    BIGINT NOT NULL,
    version         BIGINT NOT NULL
);
CREATE INDEX account_by_owner ON account (owner_sid, account_sid);

CREATE TABLE api_key (
    account_sid   TEXT COLLATE "C" NOT NULL,
    sid           TEXT COLLATE "C" PRIMARY KEY,
    friendly_name TEXT COLLATE "C" NOT NULL,
    kind          TEXT COLLATE "C" NOT NULL,
    policy        TEXT COLLATE "C",
    secret        BYTEA NOT NULL,
    date_created  BIGINT NOT NULL,
    date_updated  BIGINT NOT NULL
);
CREATE INDEX api_key_by_account ON api_key (account_sid, sid);

-- The long tail of configuration resources: one JSON document each.
CREATE TABLE resource (
    account_sid  TEXT COLLATE "C" NOT NULL,
    kind         TEXT COLLATE "C" NOT NULL,
    parent       TEXT COLLATE "C" NOT NULL,
    sid          TEXT COLLATE "C" NOT NULL,
    body         TEXT COLLATE "C" NOT NULL,
    date_created BIGINT NOT NULL,
    date_updated BIGINT NOT NULL,
    version      BIGINT NOT NULL,
    PRIMARY KEY (account_sid, kind, parent, sid)
);

-- Names that only one row may hold, within the scope written into the value:
-- an owned phone number, a unique name. Also the directory from value to owner.
CREATE TABLE claim (
    name        TEXT COLLATE "C" NOT NULL,
    value       TEXT COLLATE "C" NOT NULL,
    account_sid TEXT COLLATE "C" NOT NULL,
    sid         TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (name, value)
);
CREATE INDEX claim_by_sid ON claim (account_sid, sid);

CREATE TABLE message (
    account_sid     TEXT COLLATE "C" NOT NULL,
    id              TEXT COLLATE "C" NOT NULL,
    prefix          TEXT COLLATE "C" NOT NULL,
    direction       TEXT COLLATE "C" NOT NULL,
    status          TEXT COLLATE "C" NOT NULL,
    from_addr       TEXT COLLATE "C",
    to_addr         TEXT COLLATE "C" NOT NULL,
    body            TEXT COLLATE "C" NOT NULL,
    service_sid     TEXT COLLATE "C",
    num_segments    BIGINT NOT NULL,
    num_media       BIGINT NOT NULL,
    error_code      BIGINT,
    price           TEXT COLLATE "C",
    status_callback TEXT COLLATE "C",
    extra           TEXT COLLATE "C",
    date_created    BIGINT NOT NULL,
    date_sent       BIGINT,
    date_updated    BIGINT NOT NULL,
    version         BIGINT NOT NULL,
    PRIMARY KEY (account_sid, id)
);
CREATE INDEX message_by_to ON message (account_sid, to_addr, id);
CREATE INDEX message_by_from ON message (account_sid, from_addr, id);

CREATE TABLE media (
    account_sid  TEXT COLLATE "C" NOT NULL,
    message_id   TEXT COLLATE "C" NOT NULL,
    id           TEXT COLLATE "C" NOT NULL,
    content_type TEXT COLLATE "C" NOT NULL,
    blob         TEXT COLLATE "C" NOT NULL,
    size         BIGINT NOT NULL,
    date_created BIGINT NOT NULL,
    PRIMARY KEY (account_sid, message_id, id)
);

CREATE TABLE opt_out (
    account_sid  TEXT COLLATE "C" NOT NULL,
    scope        TEXT COLLATE "C" NOT NULL,
    address      TEXT COLLATE "C" NOT NULL,
    source       TEXT COLLATE "C" NOT NULL,
    date_created BIGINT NOT NULL,
    PRIMARY KEY (account_sid, scope, address)
);

-- What was spent, by day and category; micro-dollars.
CREATE TABLE spend (
    account_sid TEXT COLLATE "C" NOT NULL,
    day         TEXT COLLATE "C" NOT NULL,
    category    TEXT COLLATE "C" NOT NULL,
    count       BIGINT NOT NULL,
    micros      BIGINT NOT NULL,
    PRIMARY KEY (account_sid, day, category)
);

-- Promises: everything that must still happen.
CREATE TABLE job (
    id           TEXT COLLATE "C" PRIMARY KEY,
    account_sid  TEXT COLLATE "C" NOT NULL,
    queue        TEXT COLLATE "C" NOT NULL,
    lane         TEXT COLLATE "C",
    payload      TEXT COLLATE "C" NOT NULL,
    due_at       BIGINT NOT NULL,
    leased_until BIGINT NOT NULL,
    attempt      BIGINT NOT NULL,
    last_error   TEXT COLLATE "C"
);
CREATE INDEX job_by_due ON job (due_at, id);
CREATE INDEX job_by_lane ON job (lane, id) WHERE lane IS NOT NULL;

CREATE TABLE dead_job (
    id           TEXT COLLATE "C" PRIMARY KEY,
    account_sid  TEXT COLLATE "C" NOT NULL,
    queue        TEXT COLLATE "C" NOT NULL,
    lane         TEXT COLLATE "C",
    payload      TEXT COLLATE "C" NOT NULL,
    attempt      BIGINT NOT NULL,
    last_error   TEXT COLLATE "C",
    died_at      BIGINT NOT NULL
);

-- What happened, in commit order; what watchers read.
CREATE TABLE event (
    seq         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_sid TEXT COLLATE "C" NOT NULL,
    kind        TEXT COLLATE "C" NOT NULL,
    sid         TEXT COLLATE "C" NOT NULL,
    at          BIGINT NOT NULL,
    body        TEXT COLLATE "C" NOT NULL
);

-- Recorded webhooks hold what was said: redacting a message finds them here.
CREATE INDEX event_of_webhook ON event (account_sid, sid) WHERE kind = 'webhook';

-- A carrier's own durable notes.
CREATE TABLE carrier_note (
    carrier    TEXT COLLATE "C" NOT NULL,
    note       TEXT COLLATE "C" NOT NULL,
    value      TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (carrier, note)
);

CREATE TABLE meta (
    name  TEXT COLLATE "C" PRIMARY KEY,
    value TEXT COLLATE "C" NOT NULL
);
