"""Admission policies: which are in force, their parameters, and what their expressions say."""
