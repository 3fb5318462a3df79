-- How much of something was used in a period: a day, an hour. The next period starts over.
CREATE TABLE counter (
    account_sid TEXT NOT NULL,
    name        TEXT NOT NULL,
    period      TEXT NOT NULL,
    used        BIGINT NOT NULL,
    PRIMARY KEY (account_sid, name)
);
