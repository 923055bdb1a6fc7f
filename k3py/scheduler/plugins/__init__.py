"""Scheduler plugins, one a file; the table is `k3py.scheduler.registry`."""
