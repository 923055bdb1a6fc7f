"""APIServices: what is refused, what a new one says of itself, its table."""

from datetime import UTC, datetime

import pytest

from k3py.api.kind import WriteContext
from k3py.api.kinds.apiregistration.api_service import KIND
from k3py.api.user import User

CONTEXT = WriteContext(user=User(name="alice"), now="2026-01-01T00:00:00Z")
SERVICE = {"namespace": "n", "name": "s", "port": 443}


def make(**spec):
    base = {"group": "x.example.com", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 10}
    return {"metadata": {"name": "v1.x.example.com"}, "spec": {**base, "service": SERVICE, **spec}}


def faults(obj):
    return [(str(error.reason), error.path) for error in KIND.strategy.validate(obj)]


def test_good_one_passes():
    assert faults(make()) == []


@pytest.mark.parametrize(
    ("spec", "reason", "path"),
    [
        ({"version": "v2"}, "FieldValueInvalid", "metadata.name"),
        ({"groupPriorityMinimum": 20001}, "FieldValueInvalid", "spec.groupPriorityMinimum"),
        ({"versionPriority": 0}, "FieldValueInvalid", "spec.versionPriority"),
        ({"service": {"name": "s", "port": 443}}, "FieldValueRequired", "spec.service.namespace"),
        ({"service": {**SERVICE, "port": 65536}}, "FieldValueInvalid", "spec.service.port"),
        (
            {"caBundle": "YWJj", "insecureSkipTLSVerify": True},
            "FieldValueInvalid",
            "spec.insecureSkipTLSVerify",
        ),
        ({"service": None, "caBundle": "YWJj"}, "FieldValueInvalid", "spec.caBundle"),
        (
            {"service": None, "insecureSkipTLSVerify": True},
            "FieldValueInvalid",
            "spec.insecureSkipTLSVerify",
        ),
    ],
)
def test_refuses(spec, reason, path):
    assert faults(make(**spec)) == [(reason, path)]


def test_only_core_v1_has_no_group():
    obj = make(group="", version="v2")
    obj["metadata"]["name"] = "v2."
    assert faults(obj) == [("FieldValueRequired", "spec.group")]


def test_port_defaults_to_https():
    obj = make(service={"name": "s", "namespace": "n"})
    KIND.strategy.default(obj)
    assert obj["spec"]["service"]["port"] == 443


def test_new_local_one_is_available_at_once():
    obj = make(service=None)
    KIND.strategy.prepare_create(obj, CONTEXT)
    (condition,) = obj["status"]["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == ("Available", "True", "Local")


def test_new_remote_one_loses_what_its_maker_says_of_it():
    obj = make()
    obj["status"] = {"conditions": [{"type": "Available", "status": "True"}]}
    KIND.strategy.prepare_create(obj, CONTEXT)
    assert obj["status"] == {}


def test_condition_status_is_one_of_three():
    obj = make()
    obj["status"] = {"conditions": [{"type": "Available", "status": "Maybe"}]}
    assert [error.path for error in KIND.strategy.validate_status_update(obj, make())] == [
        "status.conditions[0].status"
    ]


@pytest.mark.parametrize(
    ("conditions", "shown"),
    [
        ([], "Unknown"),
        ([{"type": "Available", "status": "True", "reason": "Passed"}], "True"),
        ([{"type": "Available", "status": "False", "reason": "ServiceNotFound"}], "False (ServiceNotFound)"),
    ],
)
def test_table_shows_who_serves_and_whether(conditions, shown):
    obj = {**make(), "status": {"conditions": conditions}}
    now = datetime(2026, 1, 1, tzinfo=UTC)
    cells = [one.value(obj, now) for one in KIND.columns]
    assert cells[:3] == ["v1.x.example.com", "n/s", shown]
