-- Letters that are short lie in their row: a file of its own for each costs a sync of the disk.
ALTER TABLE mail ADD COLUMN letter BYTEA;
