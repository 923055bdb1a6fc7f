"""A server whose machine moves: certificates for the new address besides the old ones, and the cluster is told, until it has heard."""

import asyncio

from k3py.api.status import ApiError
from k3py.config.server import load_server_config
from k3py.network.own_address import OwnAddress
from k3py.pki.layout import pki_paths
from k3py.server import own_address
from k3py.server.own_address import ServerAddress, find_own
from k3py.util.backoff import Backoff
from k3py.util.supervise import TaskScope


def config(folder, *flags):
    return load_server_config([f"--data-dir={folder}", "--node-name=n1", *flags], {})


def serving_names(leaves):
    return next(one.request.names for one in leaves if one.path.name == "serving-kube-apiserver")


async def run_until_told(folder, *flags, faults=()):
    settings, leaves, told = config(folder, *flags), [], asyncio.Queue()
    own, waiting = OwnAddress("192.0.2.1", lambda: "192.0.2.2"), list(faults)

    async def use(wanted):
        leaves.append(wanted)
        told.put_nowait("leaves")

    async def tell(address):
        if waiting:
            raise waiting.pop()
        told.put_nowait(address)

    component = ServerAddress(settings, pki_paths(folder), own, use=use, advertise=[tell])
    async with TaskScope() as scope, asyncio.timeout(30):
        _ = scope.spawn(component.run(lambda: None), name="address")
        await asyncio.sleep(0)
        await own.look()
        seen = [await told.get()]
        while seen[-1] == "leaves" and settings.advertises_node_ip:
            seen.append(await told.get())
        scope.cancel()
    return leaves, seen


async def test_certificates_grow_and_the_cluster_is_told(tmp_path):
    leaves, seen = await run_until_told(tmp_path)
    assert seen == ["leaves", "192.0.2.2"]
    assert {"192.0.2.1", "192.0.2.2"} <= set(serving_names(leaves[0]))
    kubelet = next(one.request.names for one in leaves[0] if one.path.name == "serving-kubelet")
    assert "192.0.2.2" in kubelet


async def test_it_is_told_again_until_it_was_heard(tmp_path, monkeypatch):
    monkeypatch.setattr(own_address, "Backoff", lambda **_: Backoff(first_s=0.001, cap_s=0.001))
    _, seen = await run_until_told(tmp_path, faults=[ApiError(503, "", "away")])
    assert seen == ["leaves", "leaves", "192.0.2.2"]


async def test_an_address_that_the_operator_advertises_stays(tmp_path):
    leaves, seen = await run_until_told(tmp_path, "--advertise-address=198.51.100.1")
    assert seen == ["leaves"]
    assert {"198.51.100.1", "192.0.2.2"} <= set(serving_names(leaves[0]))


def test_only_an_address_that_was_found_is_followed(tmp_path):
    assert find_own(config(tmp_path)).follows
    assert not find_own(config(tmp_path, "--node-ip=192.0.2.1")).follows
    assert not find_own(config(tmp_path, "--bind-address=127.0.0.1")).follows
