-- What one node does for all: who, and until when unless it is renewed (the database's time).
-- `node/…` are the nodes themselves.
CREATE TABLE lease (
    name       TEXT PRIMARY KEY,
    owner      TEXT NOT NULL,
    expires_at INTEGER NOT NULL
);

-- The one node that can do a job, where it matters.
ALTER TABLE job ADD COLUMN node TEXT;
CREATE INDEX job_by_node ON job (node) WHERE node IS NOT NULL;
-- Accounts take turns when there is more to do than can be done.
CREATE INDEX job_by_account ON job (account_sid, ready_at, id) WHERE ready_at IS NOT NULL;
