-- Who did what: an event of the audit has its actor, the SID of an account or key.
ALTER TABLE event ADD COLUMN actor TEXT COLLATE "C";
CREATE INDEX event_of_actor ON event (account_sid, seq) WHERE actor IS NOT NULL;
CREATE INDEX event_of_alert ON event (account_sid, seq) WHERE kind = 'alert';
