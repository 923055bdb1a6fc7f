"""Root of k3py's exceptions: conditions, not technologies.

Every package refines these in its own `errors.py`. The command line prints `str(error)` and exits with `exit_code`.
"""

from __future__ import annotations


class K3pyError(Exception):
    """Any failure that k3py expects and can explain; the process exits with `exit_code`."""

    exit_code = 1


class ConfigError(K3pyError):
    """A flag, environment variable or configuration key that cannot be used; names it, the value and what is allowed."""

    exit_code = 2
