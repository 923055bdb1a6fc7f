"""The tables in SQLite, one script per schema version."""
