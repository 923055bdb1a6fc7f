-- Version 1. Names begin with k3py_: the database may be shared with other programs.
--
-- k3py_log: every change, once. id = revision << 20 | position within the revision. A tombstone has version 0 and an empty value.
--      previous = revision of the key's version before this one, 0 when this change created the key.
-- k3py_cur: the newest version of each key that exists.
CREATE TABLE k3py_log (
  id bigint PRIMARY KEY,
  name bytea NOT NULL,
  created bigint NOT NULL,
  version bigint NOT NULL,
  lease bigint NOT NULL,
  previous bigint NOT NULL,
  value bytea NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

-- Values are mostly JSON of a few KB; compression costs more than it saves in a log that is soon compacted.
ALTER TABLE k3py_log ALTER COLUMN value SET STORAGE EXTERNAL;

CREATE TABLE k3py_cur (
  name bytea PRIMARY KEY,
  id bigint NOT NULL,
  created bigint NOT NULL,
  version bigint NOT NULL,
  lease bigint NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);

CREATE INDEX k3py_cur_lease ON k3py_cur (lease) WHERE lease <> 0;

-- granted_at_s: the database's clock, seconds since the epoch.
CREATE TABLE k3py_lease (
  id bigint PRIMARY KEY,
  ttl_s bigint NOT NULL,
  granted_at_s double precision NOT NULL
);

-- The row that commits lock. serial: number of commits. lease_serial: number of commits that granted or ended leases.
-- compact_revision: lowest readable revision. origin: which installation of the database wrote it last.
CREATE TABLE k3py_meta (
  id smallint PRIMARY KEY CHECK (id = 1),
  serial bigint NOT NULL,
  lease_serial bigint NOT NULL,
  revision bigint NOT NULL,
  compact_revision bigint NOT NULL,
  origin text NOT NULL,
  schema_version bigint NOT NULL
) WITH (fillfactor = 20, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);

INSERT INTO k3py_meta VALUES (1, 0, 0, 1, 0, '', 1);

-- Rows of k3py_log below the revision were looked at by the compactor.
CREATE TABLE k3py_purge (
  id smallint PRIMARY KEY CHECK (id = 1),
  revision bigint NOT NULL
);

INSERT INTO k3py_purge VALUES (1, 0);

-- The serial of each writer's last commit: how a writer learns whether a commit happened of which it got no answer.
CREATE TABLE k3py_writer (
  id bigint PRIMARY KEY,
  serial bigint NOT NULL
) WITH (fillfactor = 20, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);
