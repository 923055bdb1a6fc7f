"""Admission webhooks: which there are, whether they are about a request, and how they are asked."""
