"""Policies and bindings can only use parameters that their writer may read."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from k3py.api.kinds import ALL
from k3py.api.registry import KindRegistry
from k3py.api.status import ApiError
from k3py.api.user import User
from k3py.apiserver.admission.policies.param_guard import BindingParamGuard, PolicyParamGuard
from k3py.apiserver.interface import Decision

KINDS = KindRegistry(ALL)
MAPS = {"apiVersion": "v1", "kind": "ConfigMap"}


class Permissions:
    def __init__(self, *, allowed):
        self._allowed = allowed
        self.asked = []

    async def authorize(self, attributes):
        self.asked.append((attributes.verb, attributes.group, attributes.resource, attributes.namespace, attributes.name))
        return Decision(allowed=self._allowed)


class Policies:
    async def find(self, resource, namespace, name):
        return {"spec": {"paramKind": MAPS}} if name == "p" else None


def call(plural):
    kind = KINDS.find("admissionregistration.k8s.io", "v1", plural)
    return SimpleNamespace(kind=kind, request=SimpleNamespace(user=User(name="alice")))


def obj(**spec):
    return {"metadata": {"name": "x"}, "spec": spec}


async def judge(guard, permissions, new, old=None):
    """Return (what was asked, the refused field)."""
    plural = "validatingadmissionpolicies" if isinstance(guard, PolicyParamGuard) else "validatingadmissionpolicybindings"
    try:
        await guard.check(call(plural), new, old)
    except ApiError as error:
        return permissions.asked, f"{error.details['causes'][0]['field']} {error.code}"
    return permissions.asked, ""


@pytest.mark.parametrize(
    ("new", "old", "asked"),
    [
        (obj(), None, []),
        (obj(paramKind=MAPS), None, [("get", "", "configmaps", "*", "*")]),
        (obj(paramKind=MAPS), obj(), [("get", "", "configmaps", "*", "*")]),
        (obj(paramKind=MAPS), obj(paramKind=MAPS), []),
        (obj(paramKind={"apiVersion": "example.com/v1", "kind": "Gone"}), None, [("get", "example.com", "*", "*", "*")]),
    ],
)
async def test_policies(new, old, asked):
    for allowed in (True, False):
        permissions = Permissions(allowed=allowed)
        refused = "spec.paramKind 422" if asked and not allowed else ""
        assert await judge(PolicyParamGuard(KINDS, permissions), permissions, new, old) == (asked, refused)


@pytest.mark.parametrize(
    ("new", "old", "asked"),
    [
        (obj(policyName="p"), None, []),
        (obj(policyName="p", paramRef={"name": "a", "namespace": "n"}), None, [("get", "", "configmaps", "n", "a")]),
        (obj(policyName="p", paramRef={"selector": {}}), None, [("list", "", "configmaps", "*", "*")]),
        (obj(policyName="gone", paramRef={"name": "a"}), None, [("get", "*", "*", "*", "a")]),
        (obj(policyName="p", paramRef={"name": "a"}), obj(policyName="p", paramRef={"name": "a"}), []),
        (obj(policyName="p", paramRef={"name": "a"}), obj(policyName="q", paramRef={"name": "a"}), [("get", "", "configmaps", "*", "a")]),
    ],
)  # fmt: skip
async def test_bindings(new, old, asked):
    for allowed in (True, False):
        permissions = Permissions(allowed=allowed)
        refused = "spec.paramRef 422" if asked and not allowed else ""
        assert await judge(BindingParamGuard(KINDS, permissions, Policies()), permissions, new, old) == (asked, refused)
