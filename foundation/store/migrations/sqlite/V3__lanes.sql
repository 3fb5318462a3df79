-- What is in order and, where it has an interval, paced. `head` is the one job of the lane that
-- may run next; the others wait without a ready time. `cost` is what waits, in the units that
-- `interval_us` microseconds are for; `free_at` is when the next may start.
CREATE TABLE lane (
    account_sid TEXT NOT NULL,
    name        TEXT NOT NULL,
    head        TEXT,
    cost        BIGINT NOT NULL,
    free_at     BIGINT NOT NULL,
    interval_us BIGINT NOT NULL,
    PRIMARY KEY (account_sid, name)
) WITHOUT ROWID;

ALTER TABLE job ADD COLUMN ready_at BIGINT;
ALTER TABLE job ADD COLUMN cost BIGINT NOT NULL DEFAULT 0;
INSERT INTO lane (account_sid, name, head, cost, free_at, interval_us)
    SELECT account_sid, lane, MIN(id), 0, 0, 0 FROM job WHERE lane IS NOT NULL
    GROUP BY account_sid, lane;
UPDATE job SET ready_at = due_at
    WHERE lane IS NULL OR id IN (SELECT head FROM lane);

DROP INDEX job_by_due;
DROP INDEX job_by_lane;
CREATE INDEX job_by_ready ON job (ready_at, id) WHERE ready_at IS NOT NULL;
CREATE INDEX job_waiting ON job (account_sid, lane, id) WHERE ready_at IS NULL;
