-- Version 2.
--
-- run: number of the run that opened the database last (see run_mark.py); 0: none since it was made or restored.
CREATE TABLE run (
  number INTEGER NOT NULL
) STRICT;

INSERT INTO run VALUES (0);
