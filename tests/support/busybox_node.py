"""A lab node with nothing but busybox, onto which the single file is installed."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.lab import Lab
    from tests.support.lab.node import Node

PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


class BusyboxNode:
    """A node with busybox; the lab's shared folder has install.sh and k3py."""

    def __init__(self, node: Node, lab: Lab) -> None:
        self.address = node.address
        self.shared = lab.shared
        self.path = node.path
        self._node = node

    def run(
        self, *command: str, check: bool = True, env: dict[str, str] | None = None, timeout_s: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the node."""
        done = self._node.run(command, check=False, env={"PATH": PATH, **(env or {})}, timeout_s=timeout_s)
        if check:
            assert done.returncode == 0, f"{command}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done

    def install(
        self, *flags: str, file: str = "k3py", script: str = "install.sh", **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run the installer with a file of the shared folder."""
        options["env"] = {"INSTALL_K3PY_URL": f"{self.shared}/{file}"} | (options.get("env") or {})
        return self.run("/bin/sh", f"{self.shared}/{script}", *flags, **options)

    def kubectl(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run k3py's kubectl by its link."""
        return self.run("kubectl", *arguments, **options)

    def pids(self, pattern: str) -> list[str]:
        """Processes whose command line matches (this busybox has no pgrep)."""
        script = 'for p in /proc/[0-9]*; do { tr "\\0" " " <$p/cmdline; } 2>/dev/null | grep -qE -- "$0" && echo ${p#/proc/}; done; true'
        return self.run("/bin/sh", "-c", script, pattern).stdout.split()

    def server_pid(self) -> str:
        """The one k3py process."""
        (pid,) = self.pids("/ld-linux.* (server|agent)")
        return pid

    def leftovers(self) -> set[str]:
        """Files, folders, mounts, links, control groups, rules and processes: to compare before and after."""
        script = """
            awk '{print "mount", $2}' /proc/self/mounts
            ip -o link | awk '{print "link", $2}'
            find /sys/fs/cgroup -type d
            find / -xdev -type f ! -path "/tmp/*" ! -path "/proc/*"
            find /etc /var /run /usr /opt
            for p in /proc/[0-9]*; do
                { tr "\\0" " " <$p/cmdline; } 2>/dev/null | sed 's/^/process /'; echo
            done | grep -v -e 'find / ' -e '/bin/sh -c' -e '^$' -e 'process tr ' -e 'process sed '
        """
        found = set(self.run("/bin/sh", "-c", script, check=False).stdout.splitlines())
        # This machine's nft, in the node's network.
        rules = subprocess.run(
            ["nsenter", "-t", str(self._node.pid), "-n", "--", "nft", "list", "ruleset"],
            check=True,
            capture_output=True,
            text=True,
        )
        return found | {f"rule {number} {line}" for number, line in enumerate(rules.stdout.splitlines())}
