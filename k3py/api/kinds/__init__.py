"""One declarative file a kind, by group."""
