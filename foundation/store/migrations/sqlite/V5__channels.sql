-- When a user last wrote to a sender on a channel: the window in which anything may be said.
CREATE TABLE channel_session (
    account_sid  TEXT NOT NULL,
    sender       TEXT NOT NULL,
    address      TEXT NOT NULL,
    last_inbound BIGINT NOT NULL,
    PRIMARY KEY (account_sid, sender, address)
) WITHOUT ROWID;
