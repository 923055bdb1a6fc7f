"""The built-in kubectl beside the real one: each command line runs with both, in a namespace of its own, and what they say is compared.

`python -m tests.support.kubectl_twins` is the built-in one's half: it reads command lines as JSON from standard input, one a line, and
answers each with its exit code and output, so that Python starts only once.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]
_VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "TIME"),
    (re.compile(r'(resourceVersion"?: )"\d+"'), r'\1"N"'),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "UID"),
    (re.compile(r"(clusterIPs?:\s+(?:- )?)10\.43\.\d+\.\d+"), r"\1ADDRESS"),
    (re.compile(r"(?<=- )10\.43\.\d+\.\d+"), "ADDRESS"),
    (re.compile(r"(nodePort: )\d+"), r"\1PORT"),
    (re.compile(r"\b\d+m?\d*s\b(?: +)?"), "AGE "),
    (re.compile(r"\bAGE +"), "AGE "),  # a column's width is that of the longest age
    (re.compile(r"pod-template-hash=\w+"), "pod-template-hash=HASH"),
    (re.compile(r"kubectl-edit-[\w.]+"), "kubectl-edit-FILE"),
)


@dataclass(frozen=True)
class Said:
    """What a command line came to."""

    code: int
    out: str
    err: str


class Twins:
    """Runs command lines with both."""

    def __init__(self, kubectl: str, kubeconfig: Path, folder: Path) -> None:
        self._kubectl = kubectl
        self.kubeconfig = kubeconfig
        self._environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "KUBECONFIG": str(kubeconfig), "EDITOR": "true"}
        self._folder = folder
        self._half: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.support.kubectl_twins"]
        environment = self._environment | {"PYTHONPATH": str(ROOT)}
        self._half = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=self._folder
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._half is not None
        assert self._half.stdin is not None
        assert self._half.stdout is not None
        self._half.stdin.close()
        self._half.wait(20)
        self._half.stdout.close()

    def real(self, *arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> Said:
        """Run the real one."""
        done = subprocess.run(
            [self._kubectl, *arguments],
            check=False,
            capture_output=True,
            text=True,
            input=stdin,
            env=self._environment | (env or {}),
            cwd=self._folder,
            timeout=60,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def builtin(self, *arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> Said:
        """Run the built-in one."""
        assert self._half is not None
        assert self._half.stdin is not None
        assert self._half.stdout is not None
        self._half.stdin.write(json.dumps([list(arguments), stdin, env or {}]) + "\n")
        self._half.stdin.flush()
        return Said(*json.loads(self._half.stdout.readline()))

    def both(self, line: Sequence[str], *, stdin: str = "", env: dict[str, str] | None = None) -> tuple[Said, Said]:
        """Run a command line in the namespaces `twin-a` (the real one) and `twin-b`; return what both said, without what must differ."""
        found = []
        for name, run in (("twin-a", self.real), ("twin-b", self.builtin)):
            arguments = [one.replace("@NS", name) for one in line]
            said = run("-n", name, *arguments, stdin=stdin.replace("@NS", name), env=env)
            found.append(Said(said.code, _same(said.out, name), _same(said.err, name)))
        return found[0], found[1]


def _same(text: str, namespace: str) -> str:
    text = re.sub(rf"\b{namespace}\b", "NAMESPACE", text)
    for pattern, replacement in _VARYING:
        text = pattern.sub(replacement, text)
    return text


def _answer() -> None:
    from k3py.cli.kubectl.command_line import run_builtin

    real_out = sys.stdout
    for line in sys.stdin:
        arguments, stdin, env = json.loads(line)
        out, err = io.StringIO(), io.StringIO()
        before, sys.stdin = sys.stdin, io.StringIO(stdin)
        os.environ.update(env)
        code: Any = 0
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = asyncio.run(run_builtin(arguments, Path(os.environ["KUBECONFIG"])))
        except SystemExit as ended:
            code = ended.code
        except Exception as error:
            err.write(f"{type(error).__name__}: {error}")
            code = 99
        sys.stdin = before
        for name in env:
            del os.environ[name]
        print(json.dumps([code, out.getvalue(), err.getvalue()]), file=real_out, flush=True)


if __name__ == "__main__":
    _answer()
