"""Defaults with conditions, one module a group. Each has HOOKS: short type name ("v2.Name" where versions differ) → function.

Functions get a decoded object (canonical form, see k3py.api.schema) and change it in place, before plain defaults and nested types.
"""
