-- Version 1.
--
-- log: every change, once. id = revision << 20 | position within the revision. A tombstone has version 0 and an empty value.
--      previous = revision of the key's version before this one, 0 when this change created the key.
-- cur: the newest version of each key that exists; kept by triggers, so that one INSERT into log is a whole commit.
CREATE TABLE log (
  id INTEGER PRIMARY KEY,
  key BLOB NOT NULL,
  created INTEGER NOT NULL,
  version INTEGER NOT NULL,
  lease INTEGER NOT NULL,
  previous INTEGER NOT NULL,
  value BLOB NOT NULL
) STRICT;

CREATE TABLE cur (
  key BLOB PRIMARY KEY,
  id INTEGER NOT NULL,
  created INTEGER NOT NULL,
  version INTEGER NOT NULL,
  lease INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX cur_lease ON cur (lease) WHERE lease <> 0;

CREATE TRIGGER log_put AFTER INSERT ON log WHEN new.version > 0
BEGIN
  INSERT OR REPLACE INTO cur VALUES (new.key, new.id, new.created, new.version, new.lease);
END;

CREATE TRIGGER log_delete AFTER INSERT ON log WHEN new.version = 0
BEGIN
  DELETE FROM cur WHERE key = new.key;
END;

-- granted_at_s: wall clock, seconds since the epoch.
CREATE TABLE lease (
  id INTEGER PRIMARY KEY,
  ttl_s INTEGER NOT NULL,
  granted_at_s REAL NOT NULL
) STRICT;

-- compact_revision: lowest readable revision. purged_revision: rows below it were looked at by the compactor.
CREATE TABLE meta (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  compact_revision INTEGER NOT NULL,
  purged_revision INTEGER NOT NULL
) STRICT;

INSERT INTO meta VALUES (1, 0, 0);
