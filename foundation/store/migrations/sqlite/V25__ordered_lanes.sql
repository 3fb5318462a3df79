-- An ordered lane is its jobs, in the order of their ids: only the first has a time. It needs no row.
DELETE FROM lane WHERE interval_us = 0;
CREATE INDEX job_by_lane ON job (account_sid, lane, id) WHERE lane IS NOT NULL;
DROP INDEX job_waiting;
