"""How endpoints of database servers are spelt (D-03, D-04, D-08; datastore.md 161, 162)."""

from __future__ import annotations

from pathlib import Path

import pytest

from k3py.datastore.endpoint import parse_mysql, parse_postgres
from k3py.datastore.tls_files import TlsFiles
from k3py.errors import ConfigError

NO_TLS = TlsFiles()
CA = TlsFiles(Path("/ca.crt"))


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("postgres://", ("localhost", 5432, "", "postgres", "postgres", "kubernetes", "prefer")),
        ("postgresql://u@h", ("h", 5432, "", "u", "", "kubernetes", "prefer")),
        (
            "postgres://u:p%40s%3As@db.example:6432/K8s?sslmode=require",
            ("db.example", 6432, "", "u", "p@s:s", "k8s", "require"),
        ),
        ("postgres://u:p@[::1]:5/d?sslmode=disable", ("::1", 5, "", "u", "p", "d", "disable")),
        ("postgres://u@/d?host=/run/pg&port=7", ("", 7, "/run/pg", "u", "", "d", "disable")),
    ],
)
def test_postgres_is_spelt_as_a_url(endpoint, expected):
    place = parse_postgres(endpoint, NO_TLS)
    assert (
        place.host,
        place.port,
        place.socket,
        place.user,
        place.password,
        place.database,
        place.ssl_mode,
    ) == expected


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("mysql://", ("", 0, "/var/run/mysqld/mysqld.sock", "root", "", "kubernetes")),
        ("mysql://u:p@tcp(db.example:3307)/k", ("db.example", 3307, "", "u", "p", "k")),
        ("mysql://u:p@ss:w/ord@tcp(h)/k?parseTime=true", ("h", 3306, "", "u", "p@ss:w/ord", "k")),
        ("mysql://u:p@unix(/run/my.sock)/k", ("", 0, "/run/my.sock", "u", "p", "k")),
        ("mysql://u@unix(/run/my.sock)", ("", 0, "/run/my.sock", "u", "", "kubernetes")),
        ("mysql://u:p@tcp([::1]:3307)/", ("::1", 3307, "", "u", "p", "kubernetes")),
    ],
)
def test_mysql_is_spelt_as_the_go_driver_does(endpoint, expected):
    place = parse_mysql(endpoint, NO_TLS)
    assert (
        place.host,
        place.port,
        place.socket,
        place.user,
        place.password,
        place.database,
    ) == expected


def test_with_tls_files_the_server_is_verified():
    assert parse_postgres("postgres://u:p@h/d", CA).ssl_mode == "verify-full"
    place = parse_mysql("mysql://u:p@tcp(h)/d", CA)
    assert (place.ssl_mode, place.tls) == ("verify-full", CA)
    assert parse_mysql("mysql://", CA).host == "127.0.0.1"
    with pytest.raises(ConfigError, match=r"datastore-cafile: cannot use /ca\.crt: No such file"):
        place.ssl_context()


@pytest.mark.parametrize(
    ("parse", "endpoint", "tls", "message"),
    [
        (parse_postgres, "postgres://u:s3cret@h:port/d", NO_TLS, "must be postgres://"),
        (parse_postgres, "postgres://u:s3cret@h/d?sslmode=maybe", NO_TLS, "sslmode 'maybe': must be one of disable"),
        (parse_postgres, "postgres://u:s3cret@h/d?pool=3", NO_TLS, "unknown parameter 'pool'"),
        (parse_postgres, "postgres://u:s3cret@h/d%22;", NO_TLS, "database name"),
        (parse_postgres, "postgres://u:s3cret@h/d?sslmode=disable", CA, "contradicts"),
        (parse_mysql, "mysql://u:s3cret@h:3306/d", NO_TLS, r"must be mysql://user:password@tcp\(host:3306\)"),
        (parse_mysql, "mysql://u:s3cret@udp(h)/d", NO_TLS, r"must be mysql://"),
        (parse_mysql, "mysql://u:s3cret@tcp(h:x)/d", NO_TLS, r"must be mysql://"),
        (parse_mysql, "mysql://u:s3cret@tcp(h)/d?tls=true", NO_TLS, "name files with datastore-cafile"),
        (parse_mysql, "mysql://u:s3cret@tcp(h)/d`x", NO_TLS, "database name"),
        (parse_mysql, "mysql://u:s3cret@unix(/s)/d", CA, "unix socket"),
        (parse_mysql, "mysql://", TlsFiles(certificate=Path("/c")), "must be given together"),
        (parse_postgres, "postgres://", TlsFiles(key=Path("/k")), "must be given together"),
    ],
)
def test_a_misspelt_endpoint_is_told_without_its_password(parse, endpoint, tls, message):
    with pytest.raises(ConfigError, match=message) as caught:
        parse(endpoint, tls)
    assert "s3cret" not in str(caught.value)


def test_neither_text_nor_representation_show_the_password():
    for place in (parse_postgres("postgres://u:s3cret@h/d", NO_TLS), parse_mysql("mysql://u:s3cret@tcp(h)/d", NO_TLS)):
        assert "s3cret" not in f"{place} {place!r}"
        assert str(place).endswith("/d")
