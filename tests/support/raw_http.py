"""An HTTP/1.1 client that sends whatever bytes it is given over TLS, for tests with malformed requests."""

from __future__ import annotations

import json
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Answer:
    """status 0 = the server closed the connection without an answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the parsed body."""
        return json.loads(self.body)


class RawClient:
    """One keep-alive connection, opened again when the server has closed it.

    Args:
        url: of the server.
        tls: with the client's certificate, if it has one.
        timeout_s: a server that says nothing for so long hangs: TimeoutError.
    """

    def __init__(self, url: str, tls: ssl.SSLContext, *, timeout_s: float = 40) -> None:
        self._address = urlsplit(url)
        self._tls = tls
        self._timeout_s = timeout_s
        self._socket: ssl.SSLSocket | None = None
        self._rest = b""

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._rest = b""

    def request(self, method: str, path: str, body: bytes = b"", headers: Iterable[tuple[str, str]] = ()) -> Answer:
        """Send a request with a right Host and Content-Length, unless `headers` bring their own."""
        given = {name.lower() for name, _ in headers}
        lines = [f"{method} {path} HTTP/1.1"]
        if "host" not in given:
            lines.append(f"Host: {self._address.netloc}")
        if "content-length" not in given and "transfer-encoding" not in given and (body or method in ("POST", "PUT", "PATCH")):
            lines.append(f"Content-Length: {len(body)}")
        lines += [f"{name}: {value}" for name, value in headers]
        head = "\r\n".join(lines) + "\r\n\r\n"
        return self.send(head.encode("utf-8", "surrogateescape") + body, has_body=method != "HEAD")

    def send(self, data: bytes, *, has_body: bool = True) -> Answer:
        """Send bytes, again when the server has closed the connection meanwhile, and read one answer, which has no body when it is one to HEAD."""
        refused = 0
        while refused < 2:
            fresh = self._socket is None
            try:
                self._open().sendall(data)
                return self._read_answer(has_body=has_body)
            except TimeoutError as error:
                self.close()
                raise TimeoutError(f"no answer within {self._timeout_s} s to {data[:2000]!r}") from error
            except (ConnectionError, ssl.SSLError, EOFError):
                self.close()
                refused += fresh
        return Answer(0, {}, b"")

    def _open(self) -> ssl.SSLSocket:
        if self._socket is None:
            assert self._address.hostname is not None
            plain = socket.create_connection((self._address.hostname, self._address.port or 443), self._timeout_s)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = self._tls.wrap_socket(plain, server_hostname=self._address.hostname)
        return self._socket

    def _read_answer(self, *, has_body: bool) -> Answer:
        while True:
            head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
            status = int(head[0].split(" ", 2)[1])
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
            if status == 101 or status >= 200:
                break
        body = b""
        if status in (101, 204, 304) or not has_body:
            pass
        elif headers.get("transfer-encoding") == "chunked":
            while size := int(self._until(b"\r\n"), 16):
                body += self._exactly(size)
                self._exactly(2)
            self._exactly(2)
        else:
            body = self._exactly(int(headers.get("content-length", 0)))
        if status == 101 or headers.get("connection", "").lower() == "close":
            self.close()
        return Answer(status, headers, body)

    def _until(self, mark: bytes) -> bytes:
        while (at := self._rest.find(mark)) < 0:
            self._receive()
        found, self._rest = self._rest[: at + len(mark)], self._rest[at + len(mark) :]
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._rest) < size:
            self._receive()
        found, self._rest = self._rest[:size], self._rest[size:]
        return found

    def _receive(self) -> None:
        assert self._socket is not None
        data = self._socket.recv(65536)
        if not data:
            raise EOFError
        self._rest += data
