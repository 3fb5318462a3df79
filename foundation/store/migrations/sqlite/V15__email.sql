-- Mail as applications handed it over; what it says is a blob.
CREATE TABLE mail (
    account_sid  TEXT NOT NULL,
    id           TEXT NOT NULL,
    blob         TEXT NOT NULL,
    batch_id     TEXT,
    send_at      BIGINT,
    date_created BIGINT NOT NULL,
    PRIMARY KEY (account_sid, id)
) WITHOUT ROWID;

-- One row for every reader of a mail.
CREATE TABLE mail_recipient (
    account_sid  TEXT NOT NULL,
    id           TEXT NOT NULL,
    mail_id      TEXT NOT NULL,
    part         BIGINT NOT NULL,
    email        TEXT NOT NULL,
    from_email   TEXT NOT NULL,
    subject      TEXT NOT NULL,
    status       TEXT NOT NULL,
    meta         TEXT NOT NULL,
    attempt      BIGINT NOT NULL,
    opens        BIGINT NOT NULL,
    clicks       BIGINT NOT NULL,
    date_created BIGINT NOT NULL,
    last_event   BIGINT NOT NULL,
    PRIMARY KEY (account_sid, id)
) WITHOUT ROWID;
CREATE INDEX mail_recipient_by_event ON mail_recipient (account_sid, last_event);
CREATE INDEX mail_recipient_by_email ON mail_recipient (account_sid, email, last_event);

-- What became of each.
CREATE TABLE mail_event (
    account_sid  TEXT NOT NULL,
    recipient_id TEXT NOT NULL,
    id           TEXT NOT NULL,
    body         TEXT NOT NULL,
    PRIMARY KEY (account_sid, recipient_id, id)
) WITHOUT ROWID;

-- Events that an Event Webhook has not taken yet.
CREATE TABLE mail_outbox (
    account_sid TEXT NOT NULL,
    webhook     TEXT NOT NULL,
    id          TEXT NOT NULL,
    at          BIGINT NOT NULL,
    body        TEXT NOT NULL,
    PRIMARY KEY (account_sid, webhook, id)
) WITHOUT ROWID;

-- Who is not written to: bounces, blocks, invalid, spam, global, or a group.
CREATE TABLE mail_suppression (
    account_sid TEXT NOT NULL,
    list        TEXT NOT NULL,
    email       TEXT NOT NULL,
    created     BIGINT NOT NULL,
    reason      TEXT NOT NULL,
    status      TEXT NOT NULL,
    PRIMARY KEY (account_sid, list, email)
) WITHOUT ROWID;

-- Counts by day, of all mail and of each category.
CREATE TABLE mail_stat (
    account_sid TEXT NOT NULL,
    day         TEXT NOT NULL,
    category    TEXT NOT NULL,
    metric      TEXT NOT NULL,
    count       BIGINT NOT NULL,
    PRIMARY KEY (account_sid, day, category, metric)
) WITHOUT ROWID;
CREATE INDEX mail_suppression_by_email ON mail_suppression (account_sid, email);
