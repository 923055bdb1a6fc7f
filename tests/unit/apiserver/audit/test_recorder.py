"""Components of this process are audited like anybody."""

import orjson
import pytest

from k3py.api.status import ApiError
from k3py.api.user import User
from k3py.apiserver.audit.policy import GroupResources, Level, Policy, Rule
from k3py.apiserver.audit.recorder import AuditedDispatcher, AuditRecorder
from tests.support.api import run_api


class Lines:
    """A backend that remembers."""

    def __init__(self):
        self.events = []

    async def room(self):
        pass

    def take(self, line):
        self.events.append(orjson.loads(line))


@pytest.fixture
async def audited():
    async with run_api() as api:
        lines = Lines()

        def use(*rules):
            recorder = AuditRecorder(Policy(rules), [lines])
            api.assembly.dispatcher = AuditedDispatcher(api.assembly.dispatcher, recorder)
            return api, lines.events

        yield use


MAP = {"metadata": {"name": "a"}, "data": {"k": "v"}}


async def test_a_write_is_told_in_two_stages_with_what_was_sent_and_answered(audited):
    api, events = audited(Rule(level=Level.REQUEST_RESPONSE, omit_managed_fields=True))
    await api.send("create", "configmaps", body=MAP)
    received, complete = events
    assert (received["stage"], complete["stage"]) == ("RequestReceived", "ResponseComplete")
    assert received["auditID"] == complete["auditID"]
    assert complete["objectRef"] == {"resource": "configmaps", "namespace": "default", "name": "a", "apiVersion": "v1"}
    assert complete["requestURI"] == "/api/v1/namespaces/default/configmaps"
    assert (complete["requestObject"], complete["responseObject"]["data"]) == (MAP, {"k": "v"})
    assert "managedFields" not in complete["responseObject"]["metadata"]
    assert complete["responseStatus"] == {"metadata": {}, "code": 201}
    assert complete["annotations"]["authorization.k8s.io/decision"] == "allow"
    assert complete["user"]["username"] == "admin"


async def test_a_refusal_is_told_with_its_reason(audited):
    api, events = audited(Rule(level=Level.METADATA, omit_stages=frozenset(["RequestReceived"])))
    api.user = User(name="eve")
    with pytest.raises(ApiError):
        await api.send("create", "configmaps", body=MAP)
    [event] = events
    assert event["annotations"]["authorization.k8s.io/decision"] == "forbid"
    assert (event["responseStatus"]["code"], event["responseStatus"]["reason"]) == (403, "Forbidden")
    assert "requestObject" not in event


async def test_what_no_rule_wants_is_not_written(audited):
    api, events = audited(Rule(level=Level.METADATA, resources=(GroupResources("apps"),)))
    await api.send("create", "configmaps", body=MAP)
    assert events == []


async def test_the_body_is_written_as_it_was_sent(audited):
    """The server completes documents in place, after they were taken."""
    api, events = audited(Rule(level=Level.REQUEST))
    await api.send("create", "secrets", body={"metadata": {"name": "s"}, "stringData": {"k": "hunter2"}})
    assert all("requestObject" not in event for event in events)  # a rule for everything names no Secret
    await api.send("create", "configmaps", body=MAP)
    assert events[-1]["requestObject"] == MAP
    assert "hunter2" not in str(events)
