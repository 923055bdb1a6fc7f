"""Controllers of policies."""
