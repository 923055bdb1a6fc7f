"""`k3py doctor`: looks at this machine, says what is wrong with it, why that matters and what mends it.

Exit code: 0 = nothing is wrong (there may be warnings), 1 = something is.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from k3py.cli.doctor.examination import examine
from k3py.cli.doctor.finding import error
from k3py.cli.machine import Machine, holder_of
from k3py.cli.printing import paint, print_document
from k3py.cli.server_values import CommandParser
from k3py.config.loader import load_defaults, load_values
from k3py.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.cli.doctor.finding import Finding, Level
    from k3py.cli.printing import Colour
    from k3py.config.option import Role

_PROG: Final = "k3py doctor"
_COLOURS: Final[dict[Level, Colour]] = {"ok": "green", "warning": "yellow", "error": "red"}


def run(arguments: Sequence[str]) -> int:
    """Examine the machine; returns 0, or 1 when something is wrong.

    Raises:
        ConfigError: the command line cannot be used.
    """
    parser = CommandParser(_PROG, __doc__ or "")
    parser.add_argument(
        "role", nargs="?", choices=("server", "agent"), help="default: what is installed here"
    )
    parser.add_argument("--config", "-c", metavar="FILE", help="the configuration file")
    parser.add_argument("--data-dir", "-d", metavar="PATH", help="the data dir")
    parser.add_argument("--output", "-o", choices=("text", "json", "yaml"), default="text")
    parsed = parser.parse_args(arguments)
    given = [
        f"--{name}={value}"
        for name in ("config", "data-dir")
        if (value := getattr(parsed, name.replace("-", "_")))
    ]
    role = parsed.role or guess_role(given)
    findings: list[Finding] = []
    try:
        values = load_values(role, given, os.environ)
    except ConfigError as failure:
        findings.append(
            error(
                "settings",
                str(failure),
                "k3py does not start",
                f"k3py config {role}   # checks and shows them",
            )
        )
        values = load_defaults(role)
        if parsed.data_dir:
            values["data_dir"] = Path(parsed.data_dir)
    findings += examine(
        Machine(root=Path("/"), role=role, values=values, pid=holder_of(cast("Path", values["data_dir"])))
    )
    _show(findings, parsed.output)
    return 1 if any(one.level == "error" for one in findings) else 0


def guess_role(given: Sequence[str]) -> Role:
    """Return what this machine is: an agent where a URL to join is set or only an agent's files lie, else a server."""
    if os.environ.get("K3PY_URL"):
        return "agent"
    data_dir = Path("/var/lib/k3py")
    for role in ("server", "agent"):
        try:
            data_dir = cast("Path", load_values(role, given, os.environ)["data_dir"])
            break
        except ConfigError:
            continue
    return "agent" if (data_dir / "agent").is_dir() and not (data_dir / "server").is_dir() else "server"


def _show(findings: Sequence[Finding], output: str) -> None:
    errors = sum(one.level == "error" for one in findings)
    warnings = sum(one.level == "warning" for one in findings)
    if output != "text":
        found = [one.as_object() for one in findings]
        print_document({"errors": errors, "warnings": warnings, "findings": found}, output)
        return
    for one in findings:
        print(f"{paint(one.level.ljust(7), _COLOURS[one.level])}  {one.check:<13} {one.found}")
        if one.level != "ok":
            print(f"{'':24}why:  {one.why}\n{'':24}mend: {one.mend}")
    print(f"{errors} wrong, {warnings} to look at, {len(findings) - errors - warnings} fine")
