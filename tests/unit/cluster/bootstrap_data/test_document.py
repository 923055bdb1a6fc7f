"""The document of shared files (J-72), and what is refused in one that somebody else sent."""

import base64
import datetime as dt

import orjson
import pytest

from k3py.cluster.bootstrap_data.document import MOST_BYTES, BadBootstrapData, SharedFile, decode, encode

WHEN = dt.datetime(2026, 3, 4, 5, 6, 7, tzinfo=dt.UTC)


def test_files_come_back_as_they_went():
    files = {"ServerCA": SharedFile(b"\x00\xffpem", WHEN), "ServiceKey": SharedFile(b"", WHEN)}
    document = encode(files)
    assert orjson.loads(document)["ServerCA"] == {
        "Timestamp": "2026-03-04T05:06:07Z",
        "Content": base64.b64encode(b"\x00\xffpem").decode(),
    }
    assert decode(document) == files


def test_times_of_other_makers_are_read():
    document = b'{"ServerCA": {"Timestamp": "2026-03-04T06:06:07.123456789+01:00", "Content": "eA=="}, "B": {"Content": null}}'
    assert decode(document)["ServerCA"] == SharedFile(b"x", WHEN)
    assert decode(document)["B"].content == b""


def test_the_form_before_there_were_times_counts_as_old():
    assert decode(b'{"ServerCA": "eA=="}')["ServerCA"] == SharedFile(b"x", dt.datetime(1970, 1, 1, tzinfo=dt.UTC))


@pytest.mark.parametrize(
    "document",
    [
        b"[]",
        b"{",
        b'{"../../etc/passwd": {"Content": "eA=="}}',
        b'{"tls/server-ca.crt": {"Content": "eA=="}}',
        b'{"ServerCA": {"Content": "?"}}',
        b'{"ServerCA": {"Content": 3}}',
        b'{"ServerCA": {"Content": "eA==", "Timestamp": "soon"}}',
        b'{"ServerCA": 1}',
        orjson.dumps({f"F{n}": "" for n in range(65)}),
        b'{"ServerCA": "' + b"A" * MOST_BYTES + b'"}',
    ],
)
def test_what_is_no_such_document_is_refused(document):
    with pytest.raises(BadBootstrapData, match="bootstrap data"):
        decode(document)
