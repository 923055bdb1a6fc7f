"""The requests to a bucket: put (large ones in parts), list, get, delete. aiohttp carries them; nothing else of S3 is needed.

Loaded only when snapshots go to S3.
"""

from __future__ import annotations

import hashlib
import ssl
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import IO, TYPE_CHECKING, Final
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector
from yarl import URL

from k3py.datastore.snapshot.errors import SnapshotError
from k3py.datastore.snapshot.folder import Snapshot, is_snapshot_name, outdated
from k3py.datastore.snapshot.s3.signature import (
    EMPTY_SHA256,
    Credentials,
    Request,
    canonical_query,
    signed_headers,
)
from k3py.util import clock
from k3py.util.offload import offload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from aiohttp import ClientResponse

    from k3py.datastore.snapshot.s3.settings import S3Settings

_CHUNK_BYTES: Final = 1 << 20
WHOLE_BYTES: Final = 1 << 30
"""A larger snapshot goes in parts (S3 takes 5 GB in one request), so that a request has its time limit for less."""

PART_BYTES: Final = 256 << 20
"""S3 takes 10,000 parts: 2.5 TB."""

_ANSWER_BYTES: Final = 8 << 20
_XML: Final = "{http://s3.amazonaws.com/doc/2006-03-01/}"


@asynccontextmanager
async def open_bucket(settings: S3Settings) -> AsyncIterator[Bucket]:
    """Give access to a bucket for the time of the block; nothing is sent yet.

    Raises:
        SnapshotError: the file of authorities cannot be used.
    """
    connector = TCPConnector(ssl=_tls(settings))
    timeout = ClientTimeout(total=settings.timeout_s)
    async with ClientSession(connector=connector, timeout=timeout) as session:
        yield Bucket(settings, session)


def _tls(settings: S3Settings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file, cadata=settings.ca_data or None)
    except (OSError, ssl.SSLError) as error:
        raise SnapshotError(
            f"--etcd-s3-endpoint-ca: cannot use {settings.ca_file or 'what is given'}: {error}"
        ) from error
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


@dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """A snapshot in the bucket; `location` is its URL for people."""

    name: str
    location: str
    size_bytes: int
    created: datetime


class Bucket:
    """One bucket; each method raises SnapshotError, which names endpoint and bucket and says what S3 said."""

    def __init__(self, settings: S3Settings, session: ClientSession) -> None:
        self._settings = settings
        self._session = session
        self._who = Credentials(
            settings.access_key, settings.secret_key, settings.session_token, settings.region
        )

    async def upload(self, snapshot: Snapshot) -> StoredSnapshot:
        """Copy a snapshot into the bucket; S3 checks SHA-256, and shows it to nobody before it is whole."""
        key = self._settings.key(snapshot.name)
        with await offload(snapshot.path.open, "rb") as file:
            if snapshot.size_bytes > WHOLE_BYTES:
                await self._upload_parts(key, file, snapshot.size_bytes)
            else:
                await self._put(key, file, snapshot.size_bytes)
        return StoredSnapshot(
            snapshot.name, self._settings.location(snapshot.name), snapshot.size_bytes, snapshot.created
        )

    async def _upload_parts(self, key: str, file: IO[bytes], size: int) -> None:
        """Send a file in parts; what has come is removed when one fails."""
        async with self._request("POST", key, query={"uploads": ""}) as answer:
            upload = _text(_parse(await _read(answer)), "UploadId")
        if not upload:
            raise SnapshotError(f"{self._name}: S3 gives no UploadId")
        try:
            parts = []
            for number, begin in enumerate(range(0, size, PART_BYTES), start=1):
                length = min(PART_BYTES, size - begin)
                tag = await self._put(
                    key, file, length, begin=begin, query={"partNumber": str(number), "uploadId": upload}
                )
                parts.append(f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(tag)}</ETag></Part>")
            body = f"<CompleteMultipartUpload>{''.join(parts)}</CompleteMultipartUpload>".encode()
            async with self._request(
                "POST",
                key,
                query={"uploadId": upload},
                headers={"content-length": str(len(body)), "content-type": "application/xml"},
                sha256=hashlib.sha256(body).hexdigest(),
                body=body,
            ) as answer:
                # S3 may find out that it cannot put the parts together after it has said 200.
                told = _parse(await _read(answer))
        except BaseException:
            await self._abandon(key, upload)
            raise
        if told.tag == "Error":
            await self._abandon(key, upload)
            raise SnapshotError(f"{self._name}: {told.findtext('Code')}: {told.findtext('Message')}")

    async def _abandon(self, key: str, upload: str) -> None:
        """Remove the parts that have come."""
        with suppress(SnapshotError):
            async with self._request("DELETE", key, query={"uploadId": upload}):
                pass

    async def _put(
        self, key: str, file: IO[bytes], size: int, *, begin: int = 0, query: Mapping[str, str] | None = None
    ) -> str:
        """Send `size` bytes of a file from `begin` on; return S3's tag of them."""
        digest = await offload(_sha256, file, begin, size)
        async with self._request(
            "PUT",
            key,
            query=query,
            headers={"content-length": str(size), "content-type": "application/octet-stream"},
            sha256=digest,
            body=_chunks(file, size),
        ) as answer:
            return answer.headers.get("ETag", "")

    async def snapshots(self) -> list[StoredSnapshot]:
        """Return the snapshots in the folder, oldest first."""
        found: list[StoredSnapshot] = []
        prefix, token = self._settings.key(""), ""
        while True:
            query = {"list-type": "2", "prefix": prefix, "delimiter": "/"}
            if token:
                query["continuation-token"] = token
            async with self._request("GET", query=query) as answer:
                page = _parse(await _read(answer))
            for entry in page.iter(f"{_XML}Contents"):
                name = _text(entry, "Key").removeprefix(prefix)
                if is_snapshot_name(name):
                    found.append(
                        StoredSnapshot(
                            name,
                            self._settings.location(name),
                            int(_text(entry, "Size")),
                            datetime.fromisoformat(_text(entry, "LastModified")),
                        )
                    )
            token = _text(page, "NextContinuationToken")
            if not token:
                return sorted(found, key=lambda one: one.created)

    async def download(self, name: str, target: Path) -> None:
        """Copy a snapshot from the bucket into the file `target`, which must not exist."""
        async with self._request("GET", self._settings.key(name)) as answer:
            with await offload(_create, target) as file:
                async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
                    await offload(file.write, chunk)
                wanted = answer.content_length
                if wanted is not None and file.tell() != wanted:
                    raise SnapshotError(
                        f"{self._settings.location(name)}: got {file.tell()} of {wanted} bytes"
                    )

    async def delete(self, name: str) -> None:
        """Remove a snapshot from the bucket; it need not be there."""
        if not is_snapshot_name(name):
            raise SnapshotError(f"{name!r} is no name of a snapshot; see `k3py etcd-snapshot ls`")
        async with self._request("DELETE", self._settings.key(name)):
            pass

    async def prune(self, base: str, keep: int) -> list[str]:
        """Remove all but the newest `keep` snapshots of `base`; return the names of the removed ones."""
        old = outdated([one.name for one in await self.snapshots()], base, keep)
        for name in old:
            await self.delete(name)
        return old

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        key: str = "",
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        sha256: str = EMPTY_SHA256,
        body: AsyncIterator[bytes] | bytes | None = None,
    ) -> AsyncIterator[ClientResponse]:
        settings = self._settings
        request = Request(method, settings.host, settings.path(key), query or {}, headers or {}, sha256)
        signed = signed_headers(request, self._who, clock.now())
        scheme = "http" if settings.insecure else "https"
        asked = canonical_query(request.query)
        url = f"{scheme}://{settings.host}{request.path}{'?' if asked else ''}{asked}"
        try:
            async with self._session.request(
                method,
                URL(url, encoded=True),
                headers=signed,
                data=body,
                proxy=settings.proxy or None,
                allow_redirects=False,
            ) as answer:
                if answer.status >= 300:
                    raise SnapshotError(f"{self._name}: {await _told(answer)}")
                yield answer
        except TimeoutError as error:
            raise SnapshotError(f"{self._name}: no answer in {settings.timeout_s:g} s") from error
        except ClientError as error:
            raise SnapshotError(f"{self._name}: {str(error) or type(error).__name__}") from error

    @property
    def _name(self) -> str:
        return f"S3 bucket {self._settings.bucket!r} at {self._settings.endpoint}"


def _sha256(file: IO[bytes], begin: int, size: int) -> str:
    """Return the digest of a part of a file, which then stands at the part's beginning again."""
    file.seek(begin)
    digest, left = hashlib.sha256(), size
    while left and (chunk := file.read(min(left, _CHUNK_BYTES))):
        digest.update(chunk)
        left -= len(chunk)
    file.seek(begin)
    return digest.hexdigest()


def _create(path: Path) -> IO[bytes]:
    file = path.open("xb")
    path.chmod(0o600)
    return file


async def _chunks(file: IO[bytes], size: int) -> AsyncIterator[bytes]:
    while size and (chunk := await offload(file.read, min(size, _CHUNK_BYTES))):
        size -= len(chunk)
        yield chunk


def _parse(text: bytes) -> ET.Element:
    try:
        return ET.fromstring(text)  # noqa: S314 - bounded, and expat bounds what entities may grow to
    except ET.ParseError as error:
        raise SnapshotError(f"S3 answered with something else than XML: {error}") from error


def _text(element: ET.Element, name: str) -> str:
    found = element.find(f"{_XML}{name}")
    return (found.text or "") if found is not None else ""


async def _read(answer: ClientResponse) -> bytes:
    text = bytearray()
    async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
        text += chunk
        if len(text) > _ANSWER_BYTES:
            raise SnapshotError(f"S3 answered with more than {_ANSWER_BYTES >> 20} MB of XML")
    return bytes(text)


async def _told(answer: ClientResponse) -> str:
    """Return what S3 says about a failure: its code and message."""
    text = await _read(answer)
    try:
        error = ET.fromstring(text)  # noqa: S314 - as above
    except ET.ParseError:
        return f"{answer.status} {answer.reason}"
    code, message = error.findtext("Code"), error.findtext("Message")
    return f"{answer.status} {code or answer.reason}: {message or ''}".rstrip(": ")
