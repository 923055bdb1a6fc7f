import pytest

from k3py.api.status import ApiError
from tests.support.api import run_api


@pytest.fixture
async def api():
    async with run_api() as api:
        await api.send("create", "serviceaccounts", body={"metadata": {"name": "default"}})
        spec = {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]}
        await api.send("create", "pods", body={"metadata": {"name": "p"}, "spec": spec})
        yield api


async def test_an_evicted_pod_is_marked_and_gets_its_grace(api):
    body = {"metadata": {"name": "p"}, "deleteOptions": {"gracePeriodSeconds": 7}}
    status = await api.send("create", "pods", "p", body, sub="eviction")
    assert (status["status"], status["code"]) == ("Success", 201)
    pod = await api.send("get", "pods", "p")
    assert pod["metadata"]["deletionGracePeriodSeconds"] == 7
    assert [one["type"] for one in pod["status"]["conditions"]] == ["DisruptionTarget"]


async def test_a_dry_run_leaves_the_pod_alone(api):
    body = {"metadata": {"name": "p"}}
    await api.send("create", "pods", "p", body, sub="eviction", dryRun="All")
    pod = await api.send("get", "pods", "p")
    assert "deletionTimestamp" not in pod["metadata"]
    assert not pod["status"].get("conditions")


async def test_the_names_must_agree(api):
    with pytest.raises(ApiError) as caught:
        await api.send("create", "pods", "p", {"metadata": {"name": "q"}}, sub="eviction")
    assert caught.value.code == 400
