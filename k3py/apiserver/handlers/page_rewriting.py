"""Pages behind a proxy: links that start at the root of their server lead through the proxy again. Pure.

Source: k8s.io/apimachinery/pkg/util/proxy/transport.go v0.35.
"""

from __future__ import annotations

import html
import posixpath
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urlsplit, urlunsplit

_ATTRIBUTES: Final = {
    "a": ("href",),
    "applet": ("codebase",),
    "area": ("href",),
    "audio": ("src",),
    "base": ("href",),
    "blockquote": ("cite",),
    "body": ("background",),
    "button": ("formaction",),
    "command": ("icon",),
    "del": ("cite",),
    "embed": ("src",),
    "form": ("action",),
    "frame": ("longdesc", "src"),
    "head": ("profile",),
    "html": ("manifest",),
    "iframe": ("longdesc", "src"),
    "img": ("longdesc", "src", "usemap"),
    "input": ("src", "usemap", "formaction"),
    "ins": ("cite",),
    "link": ("href",),
    "object": ("classid", "codebase", "data", "usemap"),
    "q": ("cite",),
    "script": ("src",),
    "source": ("src",),
    "video": ("poster", "src"),
}


@dataclass(frozen=True, slots=True)
class ProxiedPage:
    """Where a page is, seen from both sides.

    prefix: the proxy's path, without a slash at the end.
    hosts: what the page's server is called: by the proxy's client, and by the proxy.
    """

    prefix: str
    hosts: frozenset[str]

    def rewrite_url(self, text: str) -> str:
        """Return a link as the proxy's client has to follow it; what leads elsewhere, or is relative, stays."""
        try:
            url = urlsplit(text)
        except ValueError:
            return text
        if (url.netloc and url.netloc not in self.hosts) or not url.path.startswith("/"):
            return text
        path = url.path
        if not path.startswith(self.prefix):
            path = posixpath.normpath(f"{self.prefix}/{path.lstrip('/')}")
            if url.path.endswith("/") and not path.endswith("/"):
                path += "/"
        return urlunsplit(("", "", path, url.query, url.fragment))

    def rewrite_page(self, page: bytes) -> bytes:
        """Return an HTML page (UTF-8) with its links rewritten; all else stays byte for byte."""
        text = page.decode("utf-8", "surrogateescape")
        found = _Links(self)
        found.feed(text)
        found.close()
        if not found.changes:
            return page
        parts, at = [], 0
        for start, old, new in found.changes:
            parts += [text[at:start], new]
            at = start + len(old)
        return "".join((*parts, text[at:])).encode("utf-8", "surrogateescape")


class _Links(HTMLParser):
    """Finds start tags with links that change: (offset, text, new text)."""

    def __init__(self, page: ProxiedPage) -> None:
        super().__init__(convert_charrefs=False)
        self.changes: list[tuple[int, str, str]] = []
        self._page = page
        self._lines: list[int] = [0]

    def feed(self, data: str) -> None:
        """Take in the whole page."""
        at = data.find("\n")
        while at >= 0:
            self._lines.append(at + 1)
            at = data.find("\n", at + 1)
        super().feed(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._look(tag, attrs, end=">")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._look(tag, attrs, end="/>")

    def _look(self, tag: str, attrs: list[tuple[str, str | None]], *, end: str) -> None:
        names = _ATTRIBUTES.get(tag, ())
        new = [
            (name, self._page.rewrite_url(value) if value is not None and name in names else value)
            for name, value in attrs
        ]
        old = self.get_starttag_text()
        if new == attrs or old is None:
            return
        line, column = self.getpos()
        shown = "".join(f' {name}="{html.escape(value or "")}"' for name, value in new)
        self.changes.append((self._lines[line - 1] + column, old, f"<{tag}{shown}{end}"))
