"""Serves the dashboard's files. They hold nothing of the cluster: all of that the page asks the API for, with the token of whoever looks."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping

PATH: Final = "/ui"
FOLDER: Final = Path(__file__).parent / "site"
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
# The terminal's library writes style elements of its own; scripts come from this server alone and nothing is taken elsewhere.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
    "Vary": "Accept-Encoding",
}


class DashboardSite:
    """Answers GET and HEAD below /ui. Only files that lie in `folder` when it is first asked have an address."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder
        self._files: Mapping[str, Path] | None = None

    @staticmethod
    def owns(raw_path: str) -> bool:
        """Say whether a request's path, as it came, is the dashboard's."""
        path = raw_path.partition("?")[0]
        return path == PATH or path.startswith(f"{PATH}/")

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Answer one request: a file, 304 when the browser has it, 308 to /ui/, 404, or 405."""
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, headers={**_HEADERS, "Allow": "GET, HEAD"})
        if request.path == PATH:
            return web.Response(status=308, headers={**_HEADERS, "Location": f"{PATH}/"})
        name = request.path.removeprefix(f"{PATH}/") or "index.html"
        squeezed = "gzip" in request.headers.get("Accept-Encoding", "")
        found = await asyncio.to_thread(self._read, name, squeezed)
        if found is None:
            return web.Response(status=404, text="404 page not found\n", headers=_HEADERS)
        body, tag, content_type = found
        headers = {**_HEADERS, "ETag": tag}
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers=headers)
        headers["Content-Type"] = content_type
        if squeezed:
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=body, headers=headers)

    def _read(self, name: str, squeezed: bool) -> tuple[bytes, str, str] | None:
        """Return body, ETag and type; nothing is kept in memory, since hardly anybody asks."""
        if self._files is None:
            self._files = {
                path.relative_to(self._folder).as_posix(): path
                for path in self._folder.rglob("*")
                if path.suffix in _TYPES and path.is_file()
            }
        path = self._files.get(name)
        if path is None:
            return None
        body = path.read_bytes()
        tag = f'"{hashlib.sha256(body).hexdigest()[:20]}{"-gz" if squeezed else ""}"'
        return gzip.compress(body, 6, mtime=0) if squeezed else body, tag, _TYPES[path.suffix]
