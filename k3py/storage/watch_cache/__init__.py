"""The watch cache: all objects of a kind as served bytes, their recent history, and the watchers that read it."""
