-- Calls. What never changes after the start is in setup; what runs is in live, until the call has
-- ended and everything about it is done.
CREATE TABLE call (
    account_sid  TEXT NOT NULL,
    id           TEXT NOT NULL,
    direction    TEXT NOT NULL,
    status       TEXT NOT NULL,
    from_addr    TEXT NOT NULL,
    to_addr      TEXT NOT NULL,
    parent_id    TEXT,
    number_sid   TEXT,
    answered_by  TEXT,
    price        TEXT,
    setup        TEXT NOT NULL,
    live         TEXT,
    date_created BIGINT NOT NULL,
    date_started BIGINT,
    date_ended   BIGINT,
    date_updated BIGINT NOT NULL,
    version      BIGINT NOT NULL,
    PRIMARY KEY (account_sid, id)
);
CREATE INDEX call_by_to ON call (account_sid, to_addr, id);
CREATE INDEX call_by_from ON call (account_sid, from_addr, id);
CREATE INDEX call_by_parent ON call (account_sid, parent_id, id) WHERE parent_id IS NOT NULL;
