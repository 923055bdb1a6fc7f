"""Where snapshots go in S3 and who we are there; the values of K3s' `--etcd-s3-*` flags (C-35)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import quote

if TYPE_CHECKING:
    from pathlib import Path

Lookup = Literal["auto", "dns", "path"]
AMAZON: Final = "amazonaws.com"
_UNRESERVED: Final = "-._~"


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Settings:
    """One bucket, and a folder in it ("" for its top); `keep` 0: none is removed; `timeout_s` for each request."""

    bucket: str
    endpoint: str = "s3.amazonaws.com"
    region: str = "us-east-1"
    folder: str = ""
    lookup: Lookup = "auto"
    access_key: str = ""
    secret_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    ca_file: Path | None = None
    ca_data: str = ""
    """Authorities as PEM, beside those of the file."""

    verify: bool = True
    insecure: bool = False
    """Plain HTTP."""

    proxy: str = field(default="", repr=False)
    timeout_s: float = 300.0
    keep: int = 5

    def key(self, name: str) -> str:
        """Return the key of the object that is called `name` in the folder."""
        folder = self.folder.strip("/")
        return f"{folder}/{name}" if folder else name

    def location(self, name: str) -> str:
        """Return what a person is told of where `name` lies."""
        return f"s3://{self.bucket}/{self.key(name)}"

    @property
    def by_host(self) -> bool:
        """Say whether the bucket is a part of the host's name: as Amazon wants it, unless a certificate could not cover it."""
        if self.lookup != "auto":
            return self.lookup == "dns"
        return self.endpoint.partition(":")[0].endswith(AMAZON) and "." not in self.bucket

    @property
    def host(self) -> str:
        """Return the host, with its port if one is named."""
        return f"{self.bucket}.{self.endpoint}" if self.by_host else self.endpoint

    def path(self, key: str = "") -> str:
        """Return the encoded path of an object, of the bucket without one."""
        whole = key if self.by_host else f"{self.bucket}/{key}" if key else self.bucket
        return "/" + quote(whole, safe=f"/{_UNRESERVED}")
