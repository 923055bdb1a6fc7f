-- Version 1. See postgres/0001.sql for what each thing is. Nothing here is transactional: the script can be run again where it was
-- broken off, and the row of k3py_meta, which says that it is done, comes last.
CREATE TABLE IF NOT EXISTS k3py_log (
  id BIGINT NOT NULL PRIMARY KEY,
  name VARBINARY(2048) NOT NULL,
  created BIGINT NOT NULL,
  version BIGINT NOT NULL,
  lease BIGINT NOT NULL,
  previous BIGINT NOT NULL,
  value MEDIUMBLOB NOT NULL
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;

CREATE TABLE IF NOT EXISTS k3py_cur (
  name VARBINARY(2048) NOT NULL PRIMARY KEY,
  id BIGINT NOT NULL,
  created BIGINT NOT NULL,
  version BIGINT NOT NULL,
  lease BIGINT NOT NULL,
  KEY k3py_cur_lease (lease)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;

CREATE TABLE IF NOT EXISTS k3py_lease (
  id BIGINT NOT NULL PRIMARY KEY,
  ttl_s BIGINT NOT NULL,
  granted_at_s DOUBLE NOT NULL
) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS k3py_meta (
  id SMALLINT NOT NULL PRIMARY KEY,
  serial BIGINT NOT NULL,
  lease_serial BIGINT NOT NULL,
  revision BIGINT NOT NULL,
  compact_revision BIGINT NOT NULL,
  origin VARCHAR(255) NOT NULL,
  schema_version BIGINT NOT NULL
) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS k3py_purge (
  id SMALLINT NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL
) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS k3py_writer (
  id BIGINT NOT NULL PRIMARY KEY,
  serial BIGINT NOT NULL
) ENGINE=InnoDB;

INSERT IGNORE INTO k3py_purge VALUES (1, 0);

INSERT INTO k3py_meta VALUES (1, 0, 0, 1, 0, '', 1);
