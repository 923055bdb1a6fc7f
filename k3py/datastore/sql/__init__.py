"""Tables, statements and migrations of the SQL drivers."""
