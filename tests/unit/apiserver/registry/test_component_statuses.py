"""ComponentStatuses: what is wrong is shown, and nothing is made up."""

import pytest

from k3py.api.status import ApiError
from tests.support.api import run_api


@pytest.fixture
async def api():
    async with run_api() as api:
        yield api


def shown(statuses):
    return {one["metadata"]["name"]: one["conditions"][0] for one in statuses["items"]}


async def test_a_server_alone_knows_its_datastore(api):
    assert shown(await api.send("list", "componentstatuses")) == {
        "etcd-0": {"type": "Healthy", "status": "True", "message": "ok"}
    }


async def test_parts_are_as_well_as_their_components(api):
    health = {"kube-scheduler": None, "a-controller": "RuntimeError: broken", "b-controller": None}
    parts = {"scheduler": ["kube-scheduler"], "controller-manager": ["a-controller", "b-controller"]}
    api.assembly.component_statuses.follow(lambda: health, parts)
    found = shown(await api.send("list", "componentstatuses"))
    assert found["scheduler"]["status"] == "True"
    assert found["controller-manager"]["error"] == "a-controller: RuntimeError: broken"
    one = await api.send("get", "componentstatuses", "controller-manager")
    assert one["conditions"][0]["status"] == "False"
    chosen = await api.send("list", "componentstatuses", fieldSelector="metadata.name=scheduler")
    assert list(shown(chosen)) == ["scheduler"]
    assert not shown(await api.send("list", "componentstatuses", labelSelector="a=b"))


async def test_an_unknown_part_is_404_and_writing_405(api):
    with pytest.raises(ApiError) as missing:
        await api.send("get", "componentstatuses", "nothing")
    assert (missing.value.code, missing.value.details) == (404, {"name": "nothing", "kind": "componentstatus"})
    with pytest.raises(ApiError) as refused:
        await api.send("update", "componentstatuses", "etcd-0", {})
    assert refused.value.code == 405
