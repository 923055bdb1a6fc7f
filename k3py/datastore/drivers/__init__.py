"""One database a file."""
