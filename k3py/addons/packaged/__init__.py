"""Manifests that k3py brings along, and what puts them into the manifests folder at each start (P-07, P-09)."""
