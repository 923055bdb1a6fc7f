"""The one table of options and its loader."""
