"""Runs the real helm: in a folder of its own that is gone afterwards, with files that only root can read."""

from __future__ import annotations

import asyncio
import os
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from k3py.errors import K3pyError
from k3py.runtime.program import find_program
from k3py.util.process import ProcessFailed, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from k3py.addons.helm.release import Release
    from k3py.client.kubeconfig import Kubeconfig
    from k3py.util.process import Completed

_SHOWN_BYTES: Final = 1500
_GRACE_S: Final = 60.0
_PASSED_ON: Final = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "LANG",
    "TMPDIR",
)
_DONE: Final = ("deployed", "superseded")


class HelmMissing(K3pyError):
    """There is no helm."""


class HelmFailed(K3pyError):
    """Helm said no; the text is the end of what it said."""


class HelmProgram:
    """Installs and removes releases.

    Args:
        bin_dir: k3py's own programs, looked at before PATH.
        kubeconfig: makes what helm reaches the API with; asked for each time, since certificates are renewed.
    """

    def __init__(self, bin_dir: Path, kubeconfig: Callable[[], Kubeconfig]) -> None:
        self._bin_dir = bin_dir
        self._kubeconfig = kubeconfig

    def find(self) -> Path:
        """Return the program. Raises HelmMissing."""
        found = find_program("helm", self._bin_dir)
        if found is None:
            raise HelmMissing(
                f"helm is not installed on this server: put the program on the PATH or into {self._bin_dir}"
            )
        return found

    async def install(self, release: Release) -> None:
        """Install a release, or upgrade the one that is there. Raises HelmMissing, HelmFailed."""
        async with self._session(release.files, release.driver) as session:
            state = await session.state(release.name, release.namespace)
            if state and state not in _DONE and state != "uninstalled":
                if release.policy == "abort":
                    raise HelmFailed(f"the release is {state}, and spec.failurePolicy is abort")
                await session.uninstall(release.name, release.namespace, release.timeout_s)
                state = ""
            if release.uses_repository:
                await session.helm("repo", "update", timeout_s=release.timeout_s)
            verb = ("upgrade",) if state in _DONE else ("install", "--replace")
            target = (release.name, release.chart, f"--namespace={release.namespace}")
            await session.helm(*verb, *target, *release.options, timeout_s=release.timeout_s)

    async def uninstall(self, name: str, namespace: str, timeout_s: float, *, driver: str = "") -> None:
        """Remove a release; one that is not there is fine. Raises HelmMissing, HelmFailed."""
        async with self._session({}, driver) as session:
            if await session.state(name, namespace):
                await session.uninstall(name, namespace, timeout_s)

    @asynccontextmanager
    async def _session(self, files: Mapping[str, bytes], driver: str) -> AsyncIterator[_Session]:
        program = self.find()
        with tempfile.TemporaryDirectory(prefix="k3py-helm-") as name:
            folder = Path(name)
            await asyncio.to_thread(_fill, folder, files, self._kubeconfig)
            yield _Session(program, folder, driver)


class _Session:
    """A folder with all that helm reads and writes."""

    def __init__(self, program: Path, folder: Path, driver: str) -> None:
        self._program = program
        self._folder = folder
        passed_on = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
        self._environment = {
            **passed_on,
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(folder),
            "KUBECONFIG": str(folder / "kubeconfig"),
            "HELM_DRIVER": driver,
            "HELM_CACHE_HOME": str(folder / "cache"),
            "HELM_CONFIG_HOME": str(folder / "config"),
            "HELM_DATA_HOME": str(folder / "data"),
            "HELM_REPOSITORY_CONFIG": str(folder / "repositories.json"),
            "HELM_REGISTRY_CONFIG": str(folder / "registry.json"),
        }

    async def state(self, name: str, namespace: str) -> str:
        """Return the state of a release, "" when there is none."""
        done = await self._run(
            "status", name, f"--namespace={namespace}", "--output=json", timeout_s=_GRACE_S
        )
        if done.returncode != 0:
            if b"not found" in done.stderr:
                return ""
            raise HelmFailed(_said(done))
        document = orjson.loads(done.stdout)
        return str((document.get("info") or {}).get("status", ""))

    async def uninstall(self, name: str, namespace: str, timeout_s: float) -> None:
        """Remove a release."""
        await self.helm(
            "uninstall", name, f"--namespace={namespace}", f"--timeout={timeout_s:g}s", timeout_s=timeout_s
        )

    async def helm(self, *arguments: str, timeout_s: float) -> None:
        """Run helm. Raises HelmFailed."""
        done = await self._run(*arguments, timeout_s=timeout_s)
        if done.returncode != 0:
            raise HelmFailed(_said(done))

    async def _run(self, *arguments: str, timeout_s: float) -> Completed:
        command: tuple[str | Path, ...] = (self._program, *arguments)
        try:
            return await run(
                command,
                timeout_s=timeout_s + _GRACE_S,
                env=self._environment,
                cwd=self._folder,
                check=False,
            )
        except ProcessFailed as error:
            raise HelmFailed(str(error)) from error


def _said(done: Completed) -> str:
    text = (done.stderr.strip() or done.stdout.strip())[-_SHOWN_BYTES:].decode(errors="replace")
    return text or f"helm returned {done.returncode}"


def _fill(folder: Path, files: Mapping[str, bytes], kubeconfig: Callable[[], Kubeconfig]) -> None:
    from k3py.client.kubeconfig import write_kubeconfig  # noqa: PLC0415 - few servers have charts

    write_kubeconfig(folder / "kubeconfig", kubeconfig())
    for name, content in files.items():
        path = folder / name
        path.touch(mode=0o600)
        path.write_bytes(content)
