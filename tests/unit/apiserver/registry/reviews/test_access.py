import pytest

from k3py.api.status import ApiError
from k3py.api.user import User
from tests.support.api import run_api


@pytest.fixture
async def api():
    async with run_api() as api:
        await api.assembly.bootstrap()
        yield api


async def ask(api, **attributes):
    body = {"spec": {"user": "system:kube-scheduler", "resourceAttributes": attributes}}
    return (await api.send("create", "subjectaccessreviews", body=body))["status"]


async def test_the_answer_is_what_the_authorizer_would_say(api):
    assert (await ask(api, verb="create", resource="pods", subresource="binding"))["allowed"]
    assert (await ask(api, verb="delete", resource="nodes")) == {"allowed": False}


async def test_somebody_must_be_asked_about_and_exactly_one_thing(api):
    for spec in (
        {"resourceAttributes": {"verb": "get"}},
        {"user": "a"},
        {"user": "a", "resourceAttributes": {}, "nonResourceAttributes": {}},
    ):
        with pytest.raises(ApiError) as caught:
            await api.send("create", "subjectaccessreviews", body={"spec": spec})
        assert caught.value.code == 422


async def test_everybody_may_ask_about_themselves(api):
    api.user = User(name="eve", groups=("system:authenticated",))
    body = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}}}
    assert (await api.send("create", "selfsubjectaccessreviews", body=body))["status"]["allowed"] is False
    rules = await api.send("create", "selfsubjectrulesreviews", body={"spec": {"namespace": "default"}})
    resources = {one for rule in rules["status"]["resourceRules"] for one in rule["resources"]}
    assert "selfsubjectaccessreviews" in resources
    who = await api.send("create", "selfsubjectreviews", body={})
    assert who["status"]["userInfo"]["username"] == "eve"


async def test_reviews_store_nothing(api):
    revision = api.assembly.dispatcher.services.storage.current_revision
    await ask(api, verb="get", resource="pods")
    assert api.assembly.dispatcher.services.storage.current_revision == revision
