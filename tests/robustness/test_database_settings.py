"""Servers that cannot be used as they are: each is refused with what to change, and no message holds the password. And TLS."""

from __future__ import annotations

import time

import pytest

from k3py.datastore.errors import Unavailable
from k3py.datastore.factory import open_backend
from k3py.datastore.tls_files import TlsFiles
from k3py.errors import ConfigError, K3pyError
from tests.support.databases import PASSWORD, free_port, fresh_database, is_installed, keep_running, running
from tests.support.throwaway_pki import make_pki

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
SERVERS = ("postgres", "mysql")


@pytest.fixture(params=SERVERS)
def scheme(request):
    return request.param


async def message_of(endpoint, error=ConfigError, tls=None):
    with pytest.raises(error) as caught:
        async with open_backend(endpoint, tls=tls):
            pass
    chain, seen = caught.value, ""
    while chain is not None:
        seen += str(chain)
        chain = chain.__cause__ or chain.__context__
    for secret in (PASSWORD, "p%40ss", "wr0ng"):
        assert secret not in seen
    return str(caught.value)


@pytest.mark.parametrize(
    ("scheme", "name", "value", "expected"),
    [
        ("postgres", "fsync", "off", "set fsync = on"),
        ("postgres", "full_page_writes", "off", "set full_page_writes = on"),
        ("mysql", "max_allowed_packet", "4194304", "set max_allowed_packet = 16M"),
        ("mysql", "innodb_flush_log_at_trx_commit", "2", "set innodb_flush_log_at_trx_commit = 1"),
        ("mysql", "read_only", "1", "read-only: name the primary"),
    ],
)
async def test_a_setting_that_loses_data_is_named(scheme, name, value, expected):
    if not is_installed(scheme):
        keep_running(scheme)
    with running(scheme, {name: value}) as server:
        if name == "read_only":
            server.run_sql(
                "CREATE DATABASE kubernetes; REVOKE ALL PRIVILEGES ON *.* FROM k3py; GRANT ALL ON kubernetes.* TO k3py"
            )
        assert expected in await message_of(server.endpoint("kubernetes"))


@pytest.mark.parametrize(
    ("name", "value"), [("synchronous_commit", "off"), ("default_transaction_isolation", "serializable")]
)
async def test_a_default_that_does_not_suit_is_overridden_for_our_sessions(name, value):
    server, database = keep_running("postgres"), fresh_database()
    server.run_sql(f"CREATE DATABASE {database}")
    server.run_sql(f"ALTER DATABASE {database} SET {name} = {value}")
    async with open_backend(server.endpoint(database)) as backend:
        assert await backend.create(b"/a", b"") == 2
        async with backend._log._writers.take() as session:
            from k3py.datastore.sql.server_statements import Statement

            ((now,),) = await session.fetch(Statement(f"SELECT current_setting('{name}')"))
        assert now != value


async def test_a_server_that_is_not_there_is_named(scheme):
    port = free_port()
    server = keep_running(scheme)
    begin = time.monotonic()
    message = await message_of(server.endpoint("kubernetes", port=port), Unavailable)
    assert f"127.0.0.1:{port}" in message
    assert "check that the server runs" in message
    assert time.monotonic() - begin < 10


async def test_a_wrong_password_is_told(scheme):
    server = keep_running(scheme)
    endpoint = server.endpoint("kubernetes").replace(PASSWORD, "wr0ng").replace("p%40ss%3Aw%2Ford", "wr0ng")
    assert "check the user" in await message_of(endpoint)


async def test_a_database_that_cannot_be_made_is_told_with_the_command(scheme):
    server, database = keep_running(scheme), fresh_database()
    if scheme == "postgres":
        server.run_sql("DROP ROLE IF EXISTS weak")
        server.run_sql("CREATE ROLE weak LOGIN PASSWORD 'wr0ng'")
        endpoint = server.endpoint(database).replace("k3py:p%40ss%3Aw%2Ford", "weak:wr0ng")
    else:
        server.run_sql("CREATE OR REPLACE USER weak@'%' IDENTIFIED BY 'wr0ng'")
        endpoint = server.endpoint(database).replace(f"k3py:{PASSWORD}", "weak:wr0ng")
    assert f"{database}" in (message := await message_of(endpoint))
    assert "CREATE DATABASE" in message or "grants" in message


async def test_a_database_of_a_newer_k3py_is_left_alone(scheme):
    server, database = keep_running(scheme), fresh_database()
    async with open_backend(server.endpoint(database)):
        pass
    server.run_sql("UPDATE k3py_meta SET schema_version = 99", database)
    assert "newer k3py" in await message_of(server.endpoint(database))


async def test_tables_that_were_restored_elsewhere_continue_behind_a_gap(scheme):  # 253
    server, database = keep_running(scheme), fresh_database()
    async with open_backend(server.endpoint(database)) as backend:
        assert await backend.create(b"/a", b"") == 2
    async with open_backend(server.endpoint(database)) as backend:
        assert backend.current_revision == 2
    server.run_sql("UPDATE k3py_meta SET origin = 'elsewhere'", database)
    async with open_backend(server.endpoint(database)) as backend:
        assert backend.current_revision == 1_000_000_002
        assert (await backend.range(b"/a")).kvs[0].mod_revision == 2
        assert await backend.create(b"/b", b"") == 1_000_000_003
    async with open_backend(server.endpoint(database)) as backend:
        assert backend.current_revision == 1_000_000_003


async def test_tls_verifies_the_server_and_shows_a_certificate(scheme, tmp_path):
    if not is_installed(scheme):
        keep_running(scheme)
    pki = make_pki(tmp_path)
    (tmp_path / "other").mkdir()
    stranger = make_pki(tmp_path / "other")
    files = {name: (tmp_path / name).read_bytes() for name in ("ca.crt", "server.crt", "server.key")}
    if scheme == "postgres":
        settings = {
            "ssl": "on",
            "ssl_cert_file": "{folder}/server.crt",
            "ssl_key_file": "{folder}/server.key",
            "ssl_ca_file": "{folder}/ca.crt",
        }
    else:
        settings = {
            "ssl-cert": "{folder}/server.crt",
            "ssl-key": "{folder}/server.key",
            "ssl-ca": "{folder}/ca.crt",
            "require-secure-transport": "ON",
        }
    with running(scheme, settings, files) as server:
        endpoint = server.endpoint("kubernetes").replace("?sslmode=disable", "")
        if scheme == "mysql":
            server.run_sql("ALTER USER k3py@'%' REQUIRE X509")
        tls = TlsFiles(pki.folder / "ca.crt", pki.folder / "admin.crt", pki.folder / "admin.key")
        async with open_backend(endpoint, tls=tls) as backend:
            assert await backend.create(b"/a", b"") == 2
            from k3py.datastore.sql.server_statements import Statement

            question = {
                "postgres": "SELECT ssl::text, client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
                "mysql": "SHOW STATUS LIKE 'Ssl_cipher'",
            }[scheme]
            async with backend._log.reading() as session:
                ((_, answer),) = await session.fetch(Statement(question))
            assert answer
        wrong = TlsFiles(stranger.folder / "ca.crt")
        assert "ertificate" in await message_of(endpoint, K3pyError, wrong)


async def test_tables_whose_making_was_broken_off_are_completed():
    server, database = keep_running("mysql"), fresh_database()
    async with open_backend(server.endpoint(database)):
        pass
    server.run_sql("DROP TABLE k3py_writer; DELETE FROM k3py_meta", database)
    async with open_backend(server.endpoint(database)) as backend:
        assert await backend.create(b"/a", b"") == 2
