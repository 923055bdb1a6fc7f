"""Kubernetes objects as JSON dicts: kinds, schemas, patches, selectors. Pure, no I/O, no asyncio."""
