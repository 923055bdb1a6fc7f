"""Checks that several kinds share, one subject a file. All pure; they return FieldErrors and never raise."""
