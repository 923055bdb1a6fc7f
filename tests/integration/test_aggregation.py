"""The real kubectl and a group that an extension API server serves."""

from __future__ import annotations

import asyncio
import os
import shutil

import orjson
import pytest

from tests.support.api_server import run_api_server
from tests.support.extension_server import GROUP, run_extension_server

KUBECTL = os.environ.get("K3PY_TEST_KUBECTL") or shutil.which("kubectl") or ""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.skipif(not KUBECTL, reason="kubectl is not installed"),
]

TOY = f"""
apiVersion: {GROUP}/v1
kind: Toy
metadata: {{name: ball, namespace: default}}
"""


async def test_kubectl_uses_it_like_any_other_group(tmp_path):
    async with run_api_server(tmp_path) as server, run_extension_server(server.pki) as extension:

        async def kubectl(*arguments, stdin=""):
            process = await asyncio.create_subprocess_exec(
                KUBECTL,
                *arguments,
                env={"KUBECONFIG": str(server.kubeconfig), "HOME": str(tmp_path), "PATH": os.environ["PATH"]},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            output, _ = await process.communicate(stdin.encode())
            assert process.returncode == 0, output.decode()
            return output.decode()

        await kubectl("apply", "-f", "-", stdin=json_of(extension.service()))
        await kubectl("apply", "-f", "-", stdin=json_of(extension.registration()))
        await kubectl("wait", "--for=condition=Available", "apiservice", f"v1.{GROUP}", "--timeout=60s")
        assert "default/toys" in await kubectl("get", "apiservice", f"v1.{GROUP}")
        resources = await kubectl("api-resources", f"--api-group={GROUP}")
        assert resources.splitlines()[1].split() == ["toys", "ty", f"{GROUP}/v1", "true", "Toy"]
        await kubectl("create", "-f", "-", stdin=TOY)
        assert await kubectl("get", "ty", "-o", "name") == f"toy.{GROUP}/ball\n"
        assert "A toy." in await kubectl("explain", "toys")
        assert "deleted" in await kubectl("delete", "toy", "ball", "--wait=false")


def json_of(document):

    return orjson.dumps(document).decode()
