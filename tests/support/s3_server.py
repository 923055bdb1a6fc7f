"""A small S3 on loopback: one bucket in memory that checks signatures and sums, lists in pages, and fails on demand."""

from __future__ import annotations

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import quote
from xml.etree import ElementTree as ET

from aiohttp import web

from k3py.datastore.snapshot.s3.settings import S3Settings
from k3py.datastore.snapshot.s3.signature import Credentials, Request, signed_headers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

BUCKET: Final = "snapshots"
ACCESS_KEY: Final = "access"
SECRET_KEY: Final = "a/secret+key"
_PAGE: Final = 2
_NAMESPACE: Final = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


@dataclass
class S3Server:
    """What the bucket holds, and how to reach it."""

    objects: dict[str, tuple[bytes, datetime]] = field(default_factory=dict)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    fails: bool = False
    breaks: bool = False
    """Parts that have come cannot be put together."""

    port: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def settings(self, **more: object) -> S3Settings:
        """Return settings that reach the bucket."""
        return S3Settings(
            **{  # type: ignore[arg-type]
                "bucket": BUCKET,
                "endpoint": f"127.0.0.1:{self.port}",
                "access_key": ACCESS_KEY,
                "secret_key": SECRET_KEY,
                "insecure": True,
                **more,
            }
        )

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a request as S3 does."""
        body = await request.read()
        if self.fails:
            return _error(503, "SlowDown", "Please reduce your request rate.")
        if request.headers.get("Transfer-Encoding"):
            return _error(
                501, "NotImplemented", "A header you provided implies functionality that is not there."
            )
        if request.headers["x-amz-content-sha256"] != hashlib.sha256(body).hexdigest():
            return _error(400, "XAmzContentSHA256Mismatch", "The sum does not match what was sent.")
        if not _is_signed(request):
            return _error(403, "SignatureDoesNotMatch", "The signature does not match.")
        bucket, _, key = request.path.removeprefix("/").partition("/")
        if bucket != BUCKET:
            return _error(404, "NoSuchBucket", "The specified bucket does not exist")
        if not key:
            return self._list(request)
        if "uploads" in request.query or "uploadId" in request.query:
            return self._part(request, key, body)
        if request.method == "PUT":
            self.objects[key] = (body, datetime.now(UTC))
            return web.Response()
        if request.method == "DELETE":
            self.objects.pop(key, None)
            return web.Response(status=204)
        if key not in self.objects:
            return _error(404, "NoSuchKey", "The specified key does not exist.")
        return web.Response(body=self.objects[key][0])

    def _part(self, request: web.Request, key: str, body: bytes) -> web.Response:
        """Answer a request about an upload in parts."""
        upload = request.query.get("uploadId") or f"u/{len(self.uploads)}+"
        if "uploads" in request.query:
            self.uploads[upload] = {}
            return web.Response(
                text=f"<InitiateMultipartUploadResult {_NAMESPACE}><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
            )
        if request.method == "PUT":
            self.uploads[upload][int(request.query["partNumber"])] = body
            return web.Response(headers={"ETag": f'"{hashlib.md5(body).hexdigest()}"'})
        parts = self.uploads.pop(upload)
        if request.method == "DELETE":
            return web.Response(status=204)
        if self.breaks:
            self.uploads[upload] = parts
            return web.Response(text="<Error><Code>InternalError</Code><Message>try again</Message></Error>")
        tags = [f'"{hashlib.md5(parts[number]).hexdigest()}"' for number in sorted(parts)]
        if [part.findtext("ETag") for part in ET.fromstring(body)] != tags:
            return _error(400, "InvalidPart", "A part could not be found.")
        self.objects[key] = (b"".join(parts[number] for number in sorted(parts)), datetime.now(UTC))
        return web.Response(text=f"<CompleteMultipartUploadResult {_NAMESPACE}/>")

    def _list(self, request: web.Request) -> web.Response:
        prefix, after = request.query["prefix"], request.query.get("continuation-token", "")
        names = sorted(name for name in self.objects if name.startswith(prefix) and name > after)
        entries = "".join(
            f"<Contents><Key>{name}</Key><Size>{len(self.objects[name][0])}</Size>"
            f"<LastModified>{self.objects[name][1].strftime('%Y-%m-%dT%H:%M:%S.000Z')}</LastModified></Contents>"
            for name in names[:_PAGE]
        )
        more = (
            f"<NextContinuationToken>{names[_PAGE - 1]}</NextContinuationToken>" if len(names) > _PAGE else ""
        )
        return web.Response(
            body=f"<ListBucketResult {_NAMESPACE}>{entries}{more}</ListBucketResult>".encode()
        )


def _error(status: int, code: str, message: str) -> web.Response:
    return web.Response(status=status, text=f"<Error><Code>{code}</Code><Message>{message}</Message></Error>")


def _is_signed(request: web.Request) -> bool:
    given = request.headers["Authorization"]
    names = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    extra = {
        name: request.headers[name]
        for name in names
        if name != "host" and not name.startswith("x-amz-content") and name != "x-amz-date"
    }
    now = datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    signed = signed_headers(
        Request(
            request.method,
            request.host,
            quote(request.path, safe="/-._~"),
            dict(request.query),
            extra,
            request.headers["x-amz-content-sha256"],
        ),
        Credentials(ACCESS_KEY, SECRET_KEY, "", "us-east-1"),
        now,
    )
    return signed["authorization"] == given


@asynccontextmanager
async def s3_server() -> AsyncIterator[S3Server]:
    """Run an S3 with an empty bucket until the block is left."""
    server = S3Server()
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.port = runner.addresses[0][1]
        yield server
    finally:
        await runner.cleanup()


@contextmanager
def s3_server_in_thread() -> Iterator[S3Server]:
    """Run an S3 beside a program that blocks."""
    with ThreadPoolExecutor(1) as pool, asyncio.Runner() as runner:
        opening = s3_server()
        server = pool.submit(lambda: runner.run(opening.__aenter__())).result()
        until = pool.submit(lambda: runner.run(server.ended.wait()))
        try:
            yield server
        finally:
            runner.get_loop().call_soon_threadsafe(server.ended.set)
            until.result()
            pool.submit(lambda: runner.run(opening.__aexit__(None, None, None))).result()
