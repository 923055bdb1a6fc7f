"""Informers on another machine live through restarts of the server and find out what they missed."""

import asyncio
from urllib.parse import urlsplit

import pytest

from k3py.api.resource import CONFIG_MAPS
from k3py.client.http import HttpClient
from k3py.client.reflector import HttpInformerFactory
from k3py.datastore.factory import open_backend
from tests.support.client_servers import ADMIN, LocalClient, dispatch_over, running, serve


def config_map(name):
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name, "namespace": "default"}}


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.slow
async def test_informer_survives_a_restart_of_the_server_and_misses_nothing():
    heard = []
    async with open_backend("memory://") as backend:
        async with dispatch_over(backend) as dispatcher, serve(dispatcher) as url:
            await LocalClient(dispatcher, ADMIN, "test").create(CONFIG_MAPS, config_map("a"))
            await LocalClient(dispatcher, ADMIN, "test").create(CONFIG_MAPS, config_map("b"))
            client = HttpClient(url, token=lambda: "good")
            factory = HttpInformerFactory(client)
            informer = factory.informer(CONFIG_MAPS)
            informer.add_handler(
                lambda old, new: heard.append(
                    (old is not None, new is not None, (new or old)["metadata"]["name"])
                )
            )
            feeding = running(factory)
            await feeding.__aenter__()
            await informer.wait_synced()
        async with dispatch_over(backend) as dispatcher:
            local = LocalClient(dispatcher, ADMIN, "test")
            await local.delete(CONFIG_MAPS, "a", namespace="default")
            await local.create(CONFIG_MAPS, config_map("c"))
        async with (
            dispatch_over(backend) as dispatcher,
            serve(dispatcher, port=urlsplit(url).port),
        ):
            await until(lambda: informer.lister.find("default", "c") is not None)
            assert informer.lister.find("default", "a") is None
            await LocalClient(dispatcher, ADMIN, "test").create(CONFIG_MAPS, config_map("d"))
            await until(lambda: informer.lister.find("default", "d") is not None)
            await feeding.__aexit__(None, None, None)
            await client.close()
    assert heard == [
        (False, True, "a"),
        (False, True, "b"),
        (True, False, "a"),
        (False, True, "c"),
        (False, True, "d"),
    ]
