"""Certificates made by a clock that stands at 1970 or 2099 are of use when it goes right, and the other way round."""

import datetime as dt
import ssl

import pytest
from cryptography import x509

from k3py.pki.authority import KeyPair, LeafRequest, find_leaf_fault, make_authority, make_key, sign_leaf
from k3py.pki.tls import ignore_dates, is_valid_at
from k3py.util import clock

YEARS = {"1970": 1970, "five years later": 2031, "2099": 2099}
TODAY = dt.datetime(2026, 12, 1, tzinfo=dt.UTC)
REQUEST = LeafRequest(common_name="x", names=("127.0.0.1",), usage="server")


def at(monkeypatch, when):
    monkeypatch.setattr(clock, "now", lambda: when)


def read(pem):
    return x509.load_pem_x509_certificate(pem)


@pytest.mark.parametrize("year", YEARS.values(), ids=list(YEARS))
def test_what_a_wrong_clock_made_is_valid_today_and_what_today_made_is_begun_then(monkeypatch, year):
    wrong = dt.datetime(year, 1, 1, 0, 0, 5, tzinfo=dt.UTC)
    at(monkeypatch, wrong)
    authority, key = make_authority("t"), make_key()
    leaf = read(sign_leaf(authority, REQUEST, key=key))
    ca = read(authority.certificate)
    for one in (leaf, ca):
        assert one.not_valid_before_utc <= min(wrong, TODAY)
        assert one.not_valid_after_utc > max(wrong, TODAY)


@pytest.mark.parametrize("year", [2031, 2099])
def test_a_leaf_that_ended_while_nobody_looked_is_renewed_with_its_key(monkeypatch, year):
    at(monkeypatch, TODAY)
    authority, key = make_authority("t"), make_key()
    old = sign_leaf(authority, REQUEST, key=key)
    assert find_leaf_fault(authority, REQUEST, KeyPair(certificate=old, key=key)) == ""
    later = dt.datetime(year, 1, 1, tzinfo=dt.UTC)
    at(monkeypatch, later)
    assert find_leaf_fault(authority, REQUEST, KeyPair(certificate=old, key=key)) == "expires soon"
    new = sign_leaf(authority, REQUEST, key=key)
    assert read(new).not_valid_after_utc > later
    assert read(new).public_key() == read(old).public_key()
    at(monkeypatch, TODAY)  # and the clock goes right again
    assert find_leaf_fault(authority, REQUEST, KeyPair(certificate=new, key=key)) == ""


def handshake(server_context, client_context):
    """Do a TLS handshake in memory; return what the server learns of the client."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    left = [client, server]
    for _ in range(20):
        for one in tuple(left):
            try:
                one.do_handshake()
                left.remove(one)
            except ssl.SSLWantReadError:
                continue
        if not left:
            return server.getpeercert()
    raise AssertionError("no handshake")


def contexts(tmp_path, authority, *, server, client):
    """Return both ends, with leaves that end in so many days."""
    (tmp_path / "ca").write_bytes(authority.certificate)
    made = []
    for name, days, usage in (("server", server, "server"), ("client", client, "client")):
        key = make_key()
        request = LeafRequest(common_name=name, names=("127.0.0.1",), usage=usage, days=days)
        (tmp_path / name).write_bytes(sign_leaf(authority, request, key=key) + key)
        made.append(tmp_path / name)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(made[0])
    server_side.load_verify_locations(cafile=tmp_path / "ca")
    server_side.verify_mode = ssl.CERT_REQUIRED
    client_side = ssl.create_default_context(cafile=tmp_path / "ca")
    client_side.load_cert_chain(made[1])
    return server_side, client_side


def test_between_our_own_parts_dates_do_not_decide_but_keys_do(tmp_path):
    authority = make_authority("t")
    server, client = contexts(tmp_path, authority, server=-400, client=-400)
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        handshake(server, client)
    for one in (server, client):
        ignore_dates(one)
    told = handshake(server, client)
    assert not is_valid_at(told, clock.now())  # who cares still sees it
    assert is_valid_at(told, clock.now() - dt.timedelta(days=500))
    _, stranger = contexts(tmp_path, make_authority("t"), server=1, client=1)
    ignore_dates(stranger)
    with pytest.raises(ssl.SSLError):
        handshake(server, stranger)


def test_a_certificate_without_dates_is_not_valid():
    assert not is_valid_at({}, clock.now())
    assert not is_valid_at({"notBefore": "x", "notAfter": "y"}, clock.now())
