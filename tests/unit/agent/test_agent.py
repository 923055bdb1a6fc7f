"""What an agent loads: memory is its budget, and some libraries are for servers alone."""

import subprocess
import sys

SCRIPT = """
import sys
import k3py.agent.agent
import k3py.kubelet.server.app
found = {"cryptography", "sqlite3", "yaml", "k3py.apiserver.app", "k3py.storage.watch_cache"} & sys.modules.keys()
print(sorted(found))
"""


def test_an_agent_loads_no_library_that_it_seldom_needs():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
