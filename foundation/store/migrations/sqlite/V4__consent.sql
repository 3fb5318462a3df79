-- Who agreed to what, when and how: every change of consent, never changed itself. What holds now
-- is in `opt_out`.
CREATE TABLE consent_record (
    account_sid     TEXT NOT NULL,
    id              TEXT NOT NULL,
    scope           TEXT NOT NULL,
    address         TEXT NOT NULL,
    status          TEXT NOT NULL,
    source          TEXT NOT NULL,
    date_of_consent BIGINT NOT NULL,
    date_created    BIGINT NOT NULL,
    PRIMARY KEY (account_sid, id)
) WITHOUT ROWID;
CREATE INDEX consent_by_address ON consent_record (account_sid, address, id);

-- Where a contact is, for the hours at which it may be texted.
CREATE TABLE contact (
    account_sid  TEXT NOT NULL,
    address      TEXT NOT NULL,
    country      TEXT NOT NULL,
    zip          TEXT NOT NULL,
    date_updated BIGINT NOT NULL,
    PRIMARY KEY (account_sid, address)
) WITHOUT ROWID;
