"""Policies and their bindings. Source: k8s.io/apiserver/pkg/admission/plugin/policy/{generic,validating} v0.35."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from k3py.apiserver.admission.matching import parse_criteria

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from k3py.api.cel.program import Program
    from k3py.apiserver.admission.matching import Criteria
    from k3py.jsontypes import JsonObject

POLICY_GROUP: Final = "admissionregistration.k8s.io"


@dataclass(frozen=True, slots=True)
class Validation:
    """One rule; `words` is what it says when messageExpression says nothing."""

    text: str
    program: Program
    message: Program | None
    words: str
    reason: str


@dataclass(frozen=True, slots=True)
class Programs:
    """A policy's expressions; conditions and annotations with their names."""

    variables: dict[str, Program]
    conditions: tuple[tuple[str, Program], ...]
    validations: tuple[Validation, ...]
    annotations: tuple[tuple[str, Program], ...]

    def uses(self, name: str) -> bool:
        """Say whether any expression refers to a name."""
        messages = (one.message for one in self.validations if one.message is not None)
        found = (*self.variables.values(), *(one.program for one in self.validations), *messages)
        named = (program for _, program in (*self.conditions, *self.annotations))
        return any(name in program.used for program in (*found, *named))


class Policy:
    """A policy, made ready; `fails`: what cannot be evaluated counts as a violation."""

    def __init__(self, name: str, spec: JsonObject) -> None:
        self.name = name
        self.criteria = parse_criteria(spec.get("matchConstraints") or {}, rules="resourceRules")
        self.fails = (spec.get("failurePolicy") or "Fail") == "Fail"
        self.param_kind: JsonObject | None = spec.get("paramKind")
        self._spec = spec

    @cached_property
    def programs(self) -> Programs:
        """The expressions, compiled at first use. Raises CompilationFault."""
        from k3py.api.cel.admission import Environment  # noqa: PLC0415 - brings the expression language

        spec, environment = self._spec, Environment(has_params=self.param_kind is not None)
        conditions = [
            (one["name"], environment.compile_condition(one["expression"]))
            for one in spec.get("matchConditions") or ()
        ]
        variables = {
            one["name"]: environment.add_variable(one["name"], one["expression"])
            for one in spec.get("variables") or ()
        }
        validations = [
            Validation(
                text=one["expression"].strip(),
                program=environment.compile_validation(one["expression"]),
                message=environment.compile_message(one["messageExpression"])
                if one.get("messageExpression")
                else None,
                words=(one.get("message") or "").strip() or f"failed expression: {one['expression'].strip()}",
                reason=one.get("reason") or "Invalid",
            )
            for one in spec.get("validations") or ()
        ]
        annotations = [
            (one["key"], environment.compile_annotation(one["valueExpression"]))
            for one in spec.get("auditAnnotations") or ()
        ]
        return Programs(variables, tuple(conditions), tuple(validations), tuple(annotations))


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Puts a policy in force; `actions` of Deny, Warn, Audit."""

    name: str
    policy: str
    criteria: Criteria | None
    actions: tuple[str, ...]
    param_ref: JsonObject | None


class PolicyIndex:
    """Policies by name, and the bindings of each."""

    def __init__(self) -> None:
        self._policies: dict[str, Policy] = {}
        self._bindings: dict[str, Binding] = {}
        self._bound: tuple[tuple[Policy, tuple[Binding, ...]], ...] = ()

    def __bool__(self) -> bool:
        return bool(self._bound)

    def __iter__(self) -> Iterator[tuple[Policy, tuple[Binding, ...]]]:
        """Yield policies in force with their bindings, in the order of names."""
        return iter(self._bound)

    def handlers(self) -> dict[tuple[str, str], Callable[[tuple[str, str], JsonObject | None], None]]:
        """Return what follows policies and bindings, by (group, plural)."""
        return {
            (POLICY_GROUP, "validatingadmissionpolicies"): self.handle_policy,
            (POLICY_GROUP, "validatingadmissionpolicybindings"): self.handle_binding,
        }

    def handle_policy(self, key: tuple[str, str], obj: JsonObject | None) -> None:
        """Take over a policy that is new or changed, or (None) gone."""
        if obj is None:
            self._policies.pop(key[1], None)
        else:
            self._policies[key[1]] = Policy(key[1], obj.get("spec") or {})
        self._arrange()

    def handle_binding(self, key: tuple[str, str], obj: JsonObject | None) -> None:
        """Take over a binding that is new or changed, or (None) gone."""
        if obj is None:
            self._bindings.pop(key[1], None)
        else:
            spec = obj.get("spec") or {}
            match = spec.get("matchResources")
            self._bindings[key[1]] = Binding(
                name=key[1],
                policy=spec.get("policyName") or "",
                criteria=None
                if match is None
                else parse_criteria(match, rules="resourceRules", none_is_all=True),
                actions=tuple(spec.get("validationActions") or ()),
                param_ref=spec.get("paramRef"),
            )
        self._arrange()

    def _arrange(self) -> None:
        bound: dict[str, list[Binding]] = {}
        for _, binding in sorted(self._bindings.items()):
            bound.setdefault(binding.policy, []).append(binding)
        self._bound = tuple(
            (policy, tuple(bound[name])) for name, policy in sorted(self._policies.items()) if name in bound
        )
