"""URLs. Source: k8s.io/apiserver/pkg/cel/library/urls.go v0.35."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Final
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlsplit

from k3py.api.cel.errors import EvaluationFault
from k3py.api.cel.overload import Overload, member, traversal
from k3py.api.cel.types import BOOL, STRING, URL, CelType, list_of, map_of

if TYPE_CHECKING:
    from collections.abc import Callable

_SCHEME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")
_BAD: Final = re.compile(r"[\x00-\x20\x7f]|%(?![0-9a-fA-F]{2})")


class Url:
    """A parsed URL."""

    __slots__ = ("parts", "text")
    cel_type: ClassVar[CelType] = URL

    def __init__(self, text: str) -> None:
        self.text = text
        self.parts: SplitResult = _parse(text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Url) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __str__(self) -> str:
        return self.text


def _parse(text: str) -> SplitResult:
    fault = EvaluationFault(
        f'URL parse error during conversion from string: parse "{text}": invalid URI for request'
    )
    if not text or _BAD.search(text) or not (text.startswith("/") or _SCHEME.match(text)):
        raise fault
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise fault from error
    return parts


def _is_url(text: str) -> bool:
    try:
        _parse(text)
    except EvaluationFault:
        return False
    return True


def _host(url: Url) -> str:
    return url.parts.netloc.rpartition("@")[2]


def _hostname(url: Url) -> str:
    host = _host(url)
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _port(url: Url) -> str:
    return _host(url).rpartition("]")[2].partition(":")[2]


def _path(url: Url) -> str:
    return quote(unquote(url.parts.path), safe="/!$&'()*+,;=:@~-._")


def _query(url: Url) -> dict[str, list[str]]:
    return parse_qs(url.parts.query, keep_blank_values=True)


def _part(name: str, function: Callable[[Url], object], result: CelType = STRING) -> Overload:
    return member(name, (URL,), result, function)


OVERLOADS: Final = (
    Overload("url", (STRING,), URL, Url, cost=traversal()),
    Overload("isURL", (STRING,), BOOL, _is_url, cost=traversal()),
    _part("getScheme", lambda url: url.parts.scheme),
    _part("getHost", _host),
    _part("getHostname", _hostname),
    _part("getPort", _port),
    _part("getEscapedPath", _path),
    _part("getQuery", _query, map_of(STRING, list_of(STRING))),
)
