"""Certificates are renewed in time, in the running process (J-85, J-86)."""

import asyncio
import datetime as dt

import pytest
from cryptography import x509

from k3py.pki.authority import LEAF_DAYS, LeafRequest, make_authority
from k3py.pki.layout import Leaf, pki_paths
from k3py.pki.provision import ensure_leaves
from k3py.pki.service_account import ServiceAccountKeys, make_service_account_key
from k3py.pki.tls import RENEW_BEFORE_DAYS, find_renewal_s
from k3py.server.identity import ServerIdentity
from k3py.server.renewal import CertificateRenewal
from k3py.util import clock


@pytest.fixture
def identity(tmp_path):
    authorities = {"client-ca": make_authority("client")}
    leaves = tuple(
        Leaf(path=tmp_path / name, authority="client-ca", request=LeafRequest(common_name=name)) for name in ("a", "b")
    )
    ensure_leaves(authorities, leaves)
    return ServerIdentity(
        paths=pki_paths(tmp_path),
        root_ca="",
        token="",
        authorities=authorities,
        leaves=leaves,
        service_account_keys=ServiceAccountKeys(make_service_account_key(), issuer="i"),
    )


def serials(identity):
    return [x509.load_pem_x509_certificate(leaf.certificate.read_bytes()).serial_number for leaf in identity.leaves]


def move_clock(monkeypatch, days):
    then = clock.now() + dt.timedelta(days=days)
    monkeypatch.setattr(clock, "now", lambda: then)


async def test_nothing_is_written_before_it_is_due_and_all_that_is_due_then(identity, monkeypatch):
    called = []

    async def hook():
        called.append(True)

    renewal = CertificateRenewal(identity, hook)
    before = serials(identity)
    await renewal.renew()
    assert (serials(identity), called) == (before, [])
    move_clock(monkeypatch, LEAF_DAYS - RENEW_BEFORE_DAYS + 1)
    await renewal.renew()
    assert not set(serials(identity)) & set(before)
    assert called == [True]


async def test_a_folder_that_cannot_be_written_is_no_end(identity, monkeypatch):
    async def hook():
        raise AssertionError("nothing was renewed")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("k3py.server.renewal.ensure_leaves", fail)
    await CertificateRenewal(identity, hook).renew()


async def test_the_component_wakes_when_the_first_is_due(identity, monkeypatch):
    renewed = asyncio.Event()

    async def hook():
        renewed.set()

    waits = []

    async def sleep(seconds):
        waits.append(seconds)
        move_clock(monkeypatch, LEAF_DAYS)
        if renewed.is_set():
            await asyncio.get_running_loop().create_future()

    monkeypatch.setattr("k3py.server.renewal.asyncio.sleep", sleep)
    task = asyncio.get_running_loop().create_task(CertificateRenewal(identity, hook).run(lambda: None))
    async with asyncio.timeout(5):
        await renewed.wait()
    task.cancel()
    assert waits[0] == 86400.0, "once a day at the latest"


def test_the_due_time_is_120_days_before_the_end(identity):
    days = find_renewal_s(identity.leaves[0].certificate) / 86400
    assert LEAF_DAYS - RENEW_BEFORE_DAYS - 1 < days <= LEAF_DAYS - RENEW_BEFORE_DAYS


async def test_other_leaves_are_made_at_once_and_kept_from_then_on(identity):
    called = []

    async def hook():
        called.append(True)

    renewal = CertificateRenewal(identity, hook)
    before = serials(identity)
    request = LeafRequest(common_name="a", names=("192.0.2.2",))
    moved = (Leaf(path=identity.leaves[0].path, authority="client-ca", request=request), identity.leaves[1])
    await renewal.use(moved)
    after = serials(identity)
    assert (after[0] != before[0], after[1] == before[1], called) == (True, True, [True])
    await renewal.renew()
    assert serials(identity) == after
