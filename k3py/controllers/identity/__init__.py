"""Controllers of identity: service accounts, root certificates."""
