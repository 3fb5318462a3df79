-- The sender of a service's pool that a recipient knows.
CREATE TABLE sticky_sender (
    account_sid TEXT NOT NULL,
    service_sid TEXT NOT NULL,
    address     TEXT NOT NULL,
    sender      TEXT NOT NULL,
    PRIMARY KEY (account_sid, service_sid, address)
) WITHOUT ROWID;
