-- Short links: where a code leads, whose it is and whom it was sent to. Codes are unique on the platform:
-- who follows one names no account.
CREATE TABLE link (
    account_sid  TEXT NOT NULL,
    code         TEXT PRIMARY KEY,
    domain_sid   TEXT,
    message_sid  TEXT NOT NULL,
    short_url    TEXT NOT NULL,
    url          TEXT NOT NULL,
    date_created BIGINT NOT NULL
);
CREATE INDEX link_by_age ON link (account_sid, date_created);
