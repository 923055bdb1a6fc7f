"""The dashboard's files: what is served, to whom, and with which headers."""

from __future__ import annotations

import asyncio
import gzip
import re

import pytest
from aiohttp.test_utils import RawTestServer, TestClient

from k3py.addons.dashboard.site import FOLDER, DashboardSite


@pytest.fixture
async def client():
    site = DashboardSite()

    async def handle(request):
        return await site.handle(request)

    async with TestClient(RawTestServer(handle)) as one:
        yield one


@pytest.mark.parametrize(
    ("path", "owned"),
    [("/ui", True), ("/ui/", True), ("/ui?x=1", True), ("/ui/main.js", True), ("/uix", False), ("/", False), ("/api/ui", False)],
)
def test_it_owns_only_what_is_below_ui(path, owned):
    assert DashboardSite.owns(path) is owned


async def test_the_page_forbids_everything_but_its_own_scripts(client):
    async with client.get("/ui/") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        page = await answer.text()
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|https?://", page), "the policy would refuse it"


async def test_the_bare_address_leads_to_the_page(client):
    async with client.get("/ui", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (308, "/ui/")


@pytest.mark.parametrize("path", ["/ui/../site.py", "/ui/%2e%2e/site.py", "/ui/..%2fsite.py", "/ui//etc/passwd", "/ui/lib", "/ui/lib/"])
async def test_nothing_but_the_files_of_the_site_has_an_address(client, path):
    reader, writer = await asyncio.open_connection(client.server.host, client.server.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 404"), answer[:200]


async def test_files_are_compressed_and_not_sent_twice(client):
    async with client.get("/ui/main.js", headers={"Accept-Encoding": "gzip"}, auto_decompress=False) as answer:
        body, tag = await answer.read(), answer.headers["ETag"]
        assert answer.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == (FOLDER / "main.js").read_bytes()
    async with client.get("/ui/main.js", headers={"Accept-Encoding": "gzip", "If-None-Match": tag}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")
    async with client.get("/ui/main.js", headers={"Accept-Encoding": "identity", "If-None-Match": tag}) as answer:
        assert answer.status == 200, "the tag is of the compressed form"


async def test_writing_is_refused(client):
    async with client.post("/ui/", data=b"x") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_all_of_it_is_at_most_300_kb_on_the_wire():
    assert sum(len(gzip.compress(path.read_bytes(), 6)) for path in FOLDER.rglob("*") if path.is_file()) <= 300_000


def test_modules_only_import_what_is_there():
    for module in FOLDER.rglob("*.js"):
        for imported in re.findall(r"""(?:from|import\()\s*["'](\.[^"']+)["']""", module.read_text()):
            assert (module.parent / imported).is_file(), (module, imported)
