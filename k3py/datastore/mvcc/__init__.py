"""Revisions, log, broadcaster, compaction: what etcd semantics mean over a driver."""
