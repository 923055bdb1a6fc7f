"""SQL statements and migrations."""
