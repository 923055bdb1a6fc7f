"""Kinds of apiextensions.k8s.io, one a file or folder."""
