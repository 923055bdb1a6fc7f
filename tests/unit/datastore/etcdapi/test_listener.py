"""Addresses and files of the etcd face and of its clients, as they are written on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from k3py.datastore.etcdapi.endpoints import client_context, parse_etcd_endpoints
from k3py.datastore.etcdapi.listener import ListenAddress, parse_listen_address, server_context
from k3py.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0.0.0.0:2379", ListenAddress("", 2379)),
        (":2380", ListenAddress("", 2380)),
        ("tcp://127.0.0.1:1", ListenAddress("127.0.0.1", 1)),
        ("https://[::1]:7", ListenAddress("::1", 7)),
        ("http://localhost", ListenAddress("localhost", 2379)),
        ("unix:///run/kine.sock", ListenAddress(path=Path("/run/kine.sock"))),
        ("unix://kine.sock", ListenAddress(path=Path("kine.sock"))),
    ],
)
def test_listen_addresses_are_read_as_kine_writes_them(text, address):
    assert parse_listen_address(text) == address


@pytest.mark.parametrize("text", ["udp://x:1", "unix://", "127.0.0.1:port", "http://x:1/path", "x:99999"])
def test_a_wrong_listen_address_is_a_configuration_error(text):
    with pytest.raises(ConfigError, match="listen-address"):
        parse_listen_address(text)


@pytest.mark.parametrize(
    ("text", "encrypted", "addresses"),
    [
        ("http://a:1", False, [("a", 1)]),
        ("https://a:1, https://[::1]", True, [("a", 1), ("::1", 2379)]),
        ("unix:///x.sock", False, [("/x.sock", 0)]),
    ],
)
def test_endpoints_are_read_as_k3s_writes_them(text, encrypted, addresses):
    assert parse_etcd_endpoints(text) == (encrypted, addresses)


@pytest.mark.parametrize(
    "text", ["http://a:1,https://b:1", "a:1", "http://user:secret@a:1", "http://a:1/x", "http://:1", "http://a:x"]
)
def test_a_wrong_endpoint_is_told_without_showing_it(text):
    with pytest.raises(ConfigError) as caught:
        parse_etcd_endpoints(text)
    assert "--datastore-endpoint" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_unusable_files_are_named(tmp_path):
    missing = tmp_path / "missing"
    for make in (
        lambda: server_context(missing, missing, None),
        lambda: client_context(missing, None, None),
        lambda: client_context(None, missing, missing),
    ):
        with pytest.raises(ConfigError, match="missing"):
            make()
    with pytest.raises(ConfigError, match="belong together"):
        client_context(None, missing, None)
