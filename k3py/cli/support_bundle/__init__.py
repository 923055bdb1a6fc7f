"""`k3py support-bundle`: everything that helps to find a fault, in one file, without secrets.

Of the machine: what `k3py doctor` and `check-config` find, settings, processes, network, the ends of logs. Of the cluster: its objects
without data of Secrets and ConfigMaps and without values of environment variables. Tokens, keys and passwords that this machine or
the cluster know are taken out of everything, and so is what looks like one. Look at it before you give it away.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from k3py.api.status import ApiError
from k3py.cli.admin_client import kubeconfig_path, load_admin_config
from k3py.cli.doctor import guess_role
from k3py.cli.machine import Machine, holder_of
from k3py.cli.server_values import CommandParser
from k3py.cli.support_bundle.contents import parts_of_cluster, parts_of_machine, secrets_of_cluster
from k3py.cli.support_bundle.redaction import Redactor
from k3py.cli.support_bundle.secrets import secrets_of
from k3py.config.loader import load_defaults, load_values
from k3py.errors import ConfigError, K3pyError
from k3py.util import clock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonValue

_PROG: Final = "k3py support-bundle"


def run(arguments: Sequence[str]) -> int:
    """Write the bundle and say where; returns 0.

    Raises:
        ConfigError: the command line cannot be used.
        K3pyError: the file is there already.
    """
    parser = CommandParser(_PROG, __doc__ or "")
    parser.add_argument(
        "role", nargs="?", choices=("server", "agent"), help="default: what is installed here"
    )
    parser.add_argument("--config", "-c", metavar="FILE", help="the configuration file")
    parser.add_argument("--data-dir", "-d", metavar="PATH", help="the data dir")
    parser.add_argument("--kubeconfig", metavar="FILE", help="instead of $KUBECONFIG")
    parser.add_argument(
        "--output", "-o", metavar="FILE", help="default: k3py-support-DATE.tar.gz in this folder"
    )
    parsed = parser.parse_args(arguments)
    given = [
        f"--{name}={value}"
        for name in ("config", "data-dir")
        if (value := getattr(parsed, name.replace("-", "_")))
    ]
    role = parsed.role or guess_role(given)
    try:
        values = load_values(role, given, os.environ)
    except ConfigError:
        values = load_defaults(role)  # the doctor's part says what is wrong with them
    machine = Machine(
        root=Path("/"), role=role, values=values, pid=holder_of(cast("Path", values["data_dir"]))
    )
    kubeconfig = Path(parsed.kubeconfig) if parsed.kubeconfig else kubeconfig_path()
    target = Path(parsed.output or f"k3py-support-{clock.now():%Y%m%d-%H%M%S}.tar.gz").absolute()
    if target.exists():
        raise K3pyError(f"--output: {target} exists already")
    parts = asyncio.run(collect(machine, kubeconfig))
    write_bundle(target, parts)
    print(
        f"{target}: {len(parts)} files, {target.stat().st_size >> 10} KiB. Secrets were taken out; look at it before you give it away."
    )
    return 0


async def collect(machine: Machine, kubeconfig: Path) -> dict[str, str]:
    """Return name → text of all parts, redacted. A server that does not answer leaves its part out, and says so."""
    secrets = list(secrets_of(machine))
    parts: list[tuple[str, JsonValue]] = []
    redactor = Redactor(secrets)
    try:
        config = load_admin_config(kubeconfig)
        async with config.make_client(user_agent="k3py-support-bundle") as client:
            secrets += [config.token, config.key.decode(errors="replace"), *await secrets_of_cluster(client)]
            redactor = Redactor(secrets)
            parts += [one async for one in parts_of_cluster(client, config.server, redactor)]
    except (ApiError, K3pyError) as error:
        parts.append(("cluster/missing.txt", f"the server was not asked: {error}"))
    parts += parts_of_machine(machine)
    return {name: _render(redactor, part) for name, part in parts}


def _render(redactor: Redactor, part: JsonValue) -> str:
    return (
        redactor.text(part) if isinstance(part, str) else json.dumps(redactor.document(part), indent=1) + "\n"
    )


def write_bundle(target: Path, parts: dict[str, str]) -> None:
    """Write the parts as tar.gz (0600); it appears under its name when it is complete. Raises OSError."""
    work = target.with_name(f".{target.name}.{os.getpid()}")
    folder = target.name.removesuffix(".gz").removesuffix(".tar")
    now = int(clock.wall_s())
    try:
        descriptor = os.open(work, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
            for name, text in sorted(parts.items()):
                data = text.encode(errors="replace")
                info = tarfile.TarInfo(f"{folder}/{name.lstrip('/')}")
                info.size, info.mtime, info.mode = len(data), now, 0o600
                archive.addfile(info, io.BytesIO(data))
        work.rename(target)
    finally:
        work.unlink(missing_ok=True)
