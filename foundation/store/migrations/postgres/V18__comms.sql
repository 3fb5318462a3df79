-- Readers of mail of the Email API (comms), by the ids they have there.
ALTER TABLE mail_recipient ADD COLUMN comms_id TEXT;
CREATE INDEX mail_recipient_by_comms ON mail_recipient (account_sid, comms_id)
    WHERE comms_id IS NOT NULL;
