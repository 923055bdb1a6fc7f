"""Claims of devices beyond what the reference cases ask: alternatives, references, status."""

import pytest

from k3py.api.validation.devices.claim import validate_claim_spec, validate_claim_status


def exactly(**fields):
    return {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 1, **fields}


def claim(devices=None, *, status=None, **metadata):
    devices = devices or {"requests": [{"name": "r", "exactly": exactly()}]}
    return {"metadata": {"name": "c", **metadata}, "spec": {"devices": devices}, "status": status or {}}


def faults(errors):
    return sorted((error.path, error.reason) for error in errors)


def check(**devices):
    return faults(validate_claim_spec({"devices": devices}, "spec"))


def test_alternatives_are_named_by_both_names():
    request = {"name": "r", "firstAvailable": [exactly(name="a"), exactly(name="b")]}
    constraint = {"requests": ["r/a", "r"], "matchAttribute": "d.example.com/x"}
    assert check(requests=[request], constraints=[constraint]) == []
    wrong = {"requests": ["r/c", "r/a/b"], "matchAttribute": "d.example.com/x"}
    where = "spec.devices.constraints[0].requests"
    assert check(requests=[request], constraints=[wrong]) == [
        (f"{where}[0]", "FieldValueInvalid"),
        (f"{where}[1]", "FieldValueInvalid"),
    ]


def test_there_is_a_limit_to_everything():
    many = [{"name": f"r{index}", "exactly": exactly()} for index in range(33)]
    assert check(requests=many) == [("spec.devices.requests", "FieldValueTooMany")]
    alternatives = [exactly(name=f"a{index}") for index in range(9)]
    path = "spec.devices.requests[0].firstAvailable"
    assert check(requests=[{"name": "r", "firstAvailable": alternatives}]) == [(path, "FieldValueTooMany")]


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("device.driver == 'd' && device.capacity['d'].memory.isGreaterThan(quantity('1Gi'))", None),
        ("device.attributes['d'].version.isGreaterThan(semver('1.2.3'))", None),
        ("device.attributes['d'].ready", None),
        ("device.name == 'x'", "FieldValueInvalid"),
        ("'text'", "FieldValueInvalid"),
        (f"'{'x' * 10240}' == ''", "FieldValueTooLong"),
    ],
)
def test_selectors_are_compiled_against_what_a_device_has(expression, reason):
    wanted = exactly(selectors=[{"cel": {"expression": expression}}])
    path = "spec.devices.requests[0].exactly.selectors[0].cel.expression"
    assert check(requests=[{"name": "r", "exactly": wanted}]) == ([(path, reason)] if reason else [])


RESULT = {"request": "r", "driver": "d.example.com", "pool": "p", "device": "dev"}
ALLOCATED = {"allocation": {"devices": {"results": [RESULT]}}}
USER = {"resource": "pods", "name": "p", "uid": "u"}


def check_status(new, old=None, **metadata):
    return faults(validate_claim_status(claim(status=new, **metadata), claim(status=old)))


def test_what_was_given_names_a_request_and_stays():
    assert check_status(ALLOCATED) == []
    wrong = {"allocation": {"devices": {"results": [{**RESULT, "request": "other", "device": "Dev"}]}}}
    where = "status.allocation.devices.results[0]"
    assert check_status(wrong) == [(f"{where}.device", "FieldValueInvalid"), (f"{where}.request", "FieldValueInvalid")]
    assert check_status(wrong, ALLOCATED) == [("status.allocation", "FieldValueInvalid")]
    assert check_status({}, ALLOCATED) == []


def test_only_what_was_given_is_reserved_and_not_while_it_goes():
    assert check_status({"reservedFor": [USER]}) == [("status.reservedFor", "FieldValueForbidden")]
    reserved = {**ALLOCATED, "reservedFor": [USER]}
    assert check_status(reserved, ALLOCATED) == []
    since = "2026-01-01T00:00:00Z"
    assert check_status(reserved, ALLOCATED, deletionTimestamp=since) == [("status.reservedFor", "FieldValueForbidden")]
    assert check_status(reserved, reserved, deletionTimestamp=since) == []
    twice = {**ALLOCATED, "reservedFor": [USER, USER, {}]}
    assert check_status(twice, ALLOCATED) == [
        ("status.reservedFor[1]", "FieldValueDuplicate"),
        ("status.reservedFor[2].name", "FieldValueRequired"),
        ("status.reservedFor[2].resource", "FieldValueRequired"),
        ("status.reservedFor[2].uid", "FieldValueRequired"),
    ]


def test_drivers_report_on_what_was_given():
    device = {"driver": "d.example.com", "pool": "p", "device": "dev", "networkData": {"ips": ["192.0.2.1/24", "x"]}}
    assert check_status({**ALLOCATED, "devices": [device]}) == [("status.devices[0].networkData.ips[1]", "FieldValueInvalid")]
    assert ("status.devices[0]", "FieldValueInvalid") in check_status({"devices": [device]})
