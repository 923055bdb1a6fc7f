"""--token-auth-file: lines of token,user,uid,"group,group". Source: k8s.io/apiserver/pkg/authentication/token/tokenfile v0.35."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Final

from k3py.api.user import User
from k3py.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_LEAST_COLUMNS: Final = 3
_GROUPS: Final = 3


def load_token_file(file: Path) -> dict[str, User]:
    """Return users by token. Blocking.

    Raises:
        ConfigError: the file cannot be read or a line cannot be used; the message shows no token.
    """
    users: dict[str, User] = {}
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            for number, row in enumerate(csv.reader(stream, skipinitialspace=True), start=1):
                if not row:
                    continue
                where = f"token-auth-file: '{file}' line {number}"
                if len(row) < _LEAST_COLUMNS:
                    raise ConfigError(f"{where}: must be token,user,uid and maybe groups in quotes")
                token, name, uid = row[0].strip(), row[1].strip(), row[2].strip()
                if not token or not name:
                    raise ConfigError(f"{where}: token and user must not be empty")
                if token in users:
                    raise ConfigError(f"{where}: holds a token that stands there twice")
                groups = row[_GROUPS].split(",") if len(row) > _GROUPS else []
                users[token] = User(
                    name=name, uid=uid, groups=tuple(one.strip() for one in groups if one.strip())
                )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = error.strerror if isinstance(error, OSError) else "is not CSV in UTF-8"
        raise ConfigError(f"token-auth-file: '{file}': {why}") from None
    return users
