"""What admission sees of a connection: its options as an object."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from k3py.api.kinds import ALL
from k3py.api.status import ApiError, forbidden
from k3py.apiserver.registry.subresources.connect import admit_connect

KINDS = {kind.plural: kind for kind in ALL if not kind.group}


class Admission:
    def __init__(self, fault=None):
        self._fault = fault
        self.steps = []

    async def admit(self, request):
        self.steps.append("admit")

    async def validate(self, request):
        self.steps.append("validate")
        if self._fault:
            raise self._fault


def call(plural, subresource, options, lists=None, admission=None):
    made = []

    def admission_request(operation, **fields):
        made.append((operation, fields))
        return SimpleNamespace(**fields)

    request = SimpleNamespace(name="p", subresource=subresource, options=options, multi_options=lists or {})
    services = SimpleNamespace(admission=admission or Admission())
    return SimpleNamespace(kind=KINDS[plural], request=request, services=services, admission_request=admission_request), made


@pytest.mark.parametrize(
    ("plural", "subresource", "options", "lists", "expected"),
    [
        ("pods", "exec", {"stdin": "true", "stdout": "false", "container": "c"}, {"command": ["a", "b"]},
         {"kind": "PodExecOptions", "stdin": True, "container": "c", "command": ["a", "b"]}),
        ("pods", "attach", {"tty": "1"}, {"command": ["x"]}, {"kind": "PodAttachOptions", "tty": True}),
        ("pods", "portforward", {}, {"ports": ["80", "x", "443"]}, {"kind": "PodPortForwardOptions", "ports": [80, 443]}),
        ("pods", "proxy", {"path": "a/b"}, {}, {"kind": "PodProxyOptions", "path": "/a/b"}),
        ("services", "proxy", {}, {}, {"kind": "ServiceProxyOptions", "path": "/"}),
        ("nodes", "proxy", {"path": "/x"}, {}, {"kind": "NodeProxyOptions", "path": "/x"}),
    ],
)  # fmt: skip
async def test_options_are_shown_as_an_object(plural, subresource, options, lists, expected):
    one, made = call(plural, subresource, options, lists)
    await admit_connect(one)
    ((operation, fields),) = made
    assert (operation, fields["name"], fields["obj"]) == ("CONNECT", "p", {"apiVersion": "v1", **expected})
    assert one.services.admission.steps == ["admit", "validate"]


async def test_a_refusal_ends_it():
    one, _ = call("pods", "exec", {}, admission=Admission(forbidden("", "pods", "p", "no")))
    with pytest.raises(ApiError, match="no"):
        await admit_connect(one)
