"""The audit log: a policy says what is written of which request, backends write it."""
