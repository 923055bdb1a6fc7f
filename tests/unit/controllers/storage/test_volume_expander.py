"""A claim that shall grow is told who makes it grow."""

from __future__ import annotations

import pytest

from k3py.api.resource import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from k3py.controllers.storage import volume_expander
from tests.support.controllers import World


@pytest.mark.parametrize(("wanted", "told"), [("2Gi", ["ExternalExpanding"]), ("1Gi", []), ("1024Mi", [])])
async def test_a_claim_that_shall_grow_is_told_of_the_resizer(wanted, told):
    world = World()
    world.client.seed(PERSISTENT_VOLUMES, {"kind": "PersistentVolume", "metadata": {"name": "v"}, "spec": {}})
    spec = {"volumeName": "v", "resources": {"requests": {"storage": wanted}}}
    status = {"phase": "Bound", "capacity": {"storage": "1Gi"}}
    claim = {"kind": "PersistentVolumeClaim", "metadata": {"name": "c", "namespace": "default"}, "spec": spec, "status": status}
    async with world.running(volume_expander.build):
        world.client.seed(PERSISTENT_VOLUME_CLAIMS, claim)
        await world.settle()
    assert world.recorder.reasons() == told
