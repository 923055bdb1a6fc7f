"""Compares what writers were acknowledged (`write_load`) with the log of a managed etcd; a program, for inside a lab.

`python -m tests.support.etcd_history TLS ENDPOINTS WRITTEN` prints a summary as JSON. TLS: `server/tls` of a server. WRITTEN: the file of `write_load`.
It fails when the log contradicts itself.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from k3py.datastore.factory import open_backend
from k3py.datastore.tls_files import TlsFiles
from tests.support.history.watches import check_log
from tests.support.history.workload import log_of
from tests.support.write_load import find_lost


async def compare(tls: Path, endpoints: str, written: Path) -> dict[str, object]:
    """Read the whole log and compare."""
    files = TlsFiles(tls / "etcd/server-ca.crt", tls / "etcd/client.crt", tls / "etcd/client.key")
    async with open_backend(endpoints, history_s=None, tls=files) as backend:
        log = await log_of(backend)
    check_log(log)
    found = json.loads(written.read_text())
    acknowledged = found["acknowledged"]
    return {
        "acknowledged": len(acknowledged),
        "lost": find_lost(acknowledged, log),
        "longest_s": found["longest_s"],
        "revisions": len({event.kv.mod_revision for event in log}),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(compare(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))))
