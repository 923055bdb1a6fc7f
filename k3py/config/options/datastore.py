"""Flags of the datastore."""

from __future__ import annotations

from typing import Final

from k3py.config.option import Option

OPTIONS: Final[tuple[Option, ...]] = (
    # C-33
    Option(
        name="datastore-endpoint",
        theme="datastore",
        env="K3PY_DATASTORE_ENDPOINT",
        secret=True,
        help="where objects are stored: sqlite:///FILE, postgres://USER:PASSWORD@HOST/DATABASE, mysql://USER:PASSWORD@tcp(HOST:3306)/DATABASE, https://HOST:2379 of an etcd, or memory:// (default: SQLite in the data dir)",
    ),
    # C-34
    Option(
        name="datastore-cafile",
        theme="datastore",
        value_type="path",
        env="K3PY_DATASTORE_CAFILE",
        help="certificate of the authority that signed the datastore's certificate",
    ),
    Option(
        name="datastore-certfile",
        theme="datastore",
        value_type="path",
        env="K3PY_DATASTORE_CERTFILE",
        help="certificate to log in to the datastore with",
    ),
    Option(
        name="datastore-keyfile",
        theme="datastore",
        value_type="path",
        env="K3PY_DATASTORE_KEYFILE",
        help="key of --datastore-certfile",
    ),
    Option(
        name="datastore-durability",
        theme="datastore",
        default="durable",
        env="K3PY_DATASTORE_DURABILITY",
        help="when an acknowledged write is on the disk, SQLite only: durable (at once), balanced (within 0.2 s) or flash (within 5 s, sparing the flash memory)",
    ),
)
