"""What expressions of admission webhooks and policies may refer to, and how they are compiled and run.

Source: k8s.io/apiserver/pkg/admission/plugin/cel v0.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.cel.checker import find_object
from k3py.api.cel.errors import CompilationFault, CostExceeded, EvaluationFault
from k3py.api.cel.program import compile_expression
from k3py.api.cel.types import (
    AUTHORIZER,
    BOOL,
    DYN,
    DYNAMIC,
    INT,
    NULL,
    RESOURCE_CHECK,
    STRING,
    CelType,
    Declaration,
    list_of,
    map_of,
)
from k3py.errors import K3pyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from k3py.api.cel.program import Program
    from k3py.jsontypes import JsonValue

CALL_LIMIT: Final = 1_000_000
BUDGET: Final = 10_000_000
CONDITIONS_BUDGET: Final = 2_500_000

_TEXT: Final = Declaration(STRING)
_TEXTS: Final = Declaration(list_of(STRING), element=_TEXT)
_LABELS: Final = Declaration(map_of(STRING, STRING), element=_TEXT, key=_TEXT)


def _object(name: str, fields: Mapping[str, Declaration]) -> Declaration:
    return Declaration(CelType(f"object.{name}"), fields=fields)


def _texts(*names: str) -> dict[str, Declaration]:
    return dict.fromkeys(names, _TEXT)


def _declare_request() -> Declaration:
    kind = _object("GroupVersionKind", _texts("group", "version", "kind"))
    resource = _object("GroupVersionResource", _texts("group", "version", "resource"))
    extra = Declaration(map_of(STRING, list_of(STRING)), element=_TEXTS, key=_TEXT)
    user = _object("UserInfo", {**_texts("username", "uid"), "groups": _TEXTS, "extra": extra})
    return _object(
        "AdmissionRequest",
        {
            **_texts("subResource", "requestSubResource", "name", "namespace", "operation"),
            "kind": kind,
            "resource": resource,
            "requestKind": kind,
            "requestResource": resource,
            "userInfo": user,
            "dryRun": Declaration(BOOL),
            "options": Declaration(DYN),
        },
    )


def _declare_namespace() -> Declaration:
    number = Declaration(INT)
    metadata = _object(
        "NamespaceMetadata",
        {
            **_texts("name", "generateName", "namespace", "UID", "creationTimestamp", "deletionTimestamp"),
            **_texts("resourceVersion"),
            "labels": _LABELS,
            "annotations": _LABELS,
            "deletionGracePeriodSeconds": number,
            "generation": number,
            "finalizers": _TEXTS,
        },
    )
    return _object(
        "Namespace",
        {
            "metadata": metadata,
            "spec": _object("NamespaceSpec", {"finalizers": _TEXTS}),
            "status": _object("NamespaceStatus", _texts("phase")),
        },
    )


class Environment:
    """The names that a policy's expressions know; variables are added one after another, in the policy's order.

    `objects`: what is known of `object` and `oldObject`; nothing unless types are checked.
    """

    def __init__(
        self,
        *,
        has_params: bool = False,
        objects: Declaration = DYNAMIC,
        params: Declaration = DYNAMIC,
    ) -> None:
        self._names: dict[str, Declaration] = {
            "object": objects,
            "oldObject": objects,
            "request": _declare_request(),
            "namespaceObject": _declare_namespace(),
        }
        if has_params:
            self._names["params"] = params
        self._asking: dict[str, Declaration] = {
            "authorizer": Declaration(AUTHORIZER),
            "authorizer.requestResource": Declaration(RESOURCE_CHECK),
        }
        self._fields: dict[str, Declaration] = {}
        self._variables = {"variables": Declaration(CelType("object.Variables"), fields=self._fields)}

    def add_variable(self, name: str, text: str) -> Program:
        """Compile a variable; expressions compiled later may use it. Raises CompilationFault."""
        program = compile_expression(text, self._names | self._asking | self._variables)
        is_object = program.type.name.startswith("object")
        known = find_object(program.type, [self._names, self._fields]) if is_object else None
        self._fields[name] = known or Declaration(program.type)
        return program

    def assume_variable(self, name: str) -> None:
        """Let expressions use a variable of which nothing is known."""
        self._fields[name] = DYNAMIC

    def compile_condition(self, text: str) -> Program:
        """Compile a match condition. Raises CompilationFault."""
        return _expect(compile_expression(text, self._names | self._asking), BOOL)

    def compile_validation(self, text: str) -> Program:
        """Compile a validation. Raises CompilationFault."""
        return _expect(compile_expression(text, self._names | self._asking | self._variables), BOOL)

    def compile_message(self, text: str) -> Program:
        """Compile a messageExpression, which cannot ask the authorizer. Raises CompilationFault."""
        return _expect(compile_expression(text, self._names | self._variables), STRING)

    def compile_annotation(self, text: str) -> Program:
        """Compile the value of an audit annotation. Raises CompilationFault."""
        return _expect(compile_expression(text, self._names | self._asking | self._variables), STRING, NULL)


def _expect(program: Program, *wanted: CelType) -> Program:
    """Values whose type only shows at run time are refused, too, as upstream does."""
    if program.type not in wanted:
        raise CompilationFault(f"must evaluate to {' or '.join(map(str, wanted))}")
    return program


class Evaluation:
    """Runs expressions over one request with one budget.

    Args:
        values: of the names.
        variables: the policy's, by name; each is evaluated at its first use.
        budget: what all together may cost.
        patience: what they may cost before NeedsTime is raised, None = no such bound.
    """

    def __init__(
        self,
        values: dict[str, JsonValue],
        variables: Mapping[str, Program] | None = None,
        *,
        budget: int = BUDGET,
        patience: int | None = None,
    ) -> None:
        self._values = {**values, "variables": LazyVariables(variables or {}, self.run)}
        self._left = budget
        self._patience = patience

    def run(self, program: Program) -> JsonValue:
        """Return an expression's value.

        Raises:
            EvaluationFault: there is none.
            OutOfBudget: nothing more can be run.
            NeedsTime: see the class.
        """
        if self._left < 0:
            raise OutOfBudget
        limit = min(CALL_LIMIT, self._left)
        patience = self._patience
        try:
            value, cost = program.run(self._values, limit=limit if patience is None else min(limit, patience))
        except CostExceeded as fault:
            if patience is not None and patience < limit:
                raise NeedsTime from fault
            if self._left < CALL_LIMIT:
                self._left = -1
                raise OutOfBudget from fault
            self._left -= CALL_LIMIT
            raise EvaluationFault(str(fault)) from fault
        self._left -= cost
        if patience is not None:
            self._patience = patience - cost
        return value


class NeedsTime(K3pyError):
    """Expressions take longer than an event loop can wait: begin again in a thread."""


class OutOfBudget(EvaluationFault):
    """A policy's expressions cost too much together."""

    def __init__(self) -> None:
        super().__init__(
            "validation failed due to running out of cost budget, no further validation rules will be run"
        )


class LazyVariables(dict):  # type: ignore[type-arg] # JSON
    """The values of `variables`."""

    __slots__ = ("_faults", "_programs", "_run")

    def __init__(self, programs: Mapping[str, Program], run: Callable[[Program], JsonValue]) -> None:
        super().__init__()
        self._programs = programs
        self._run = run
        self._faults: dict[str, EvaluationFault] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._programs

    def __getitem__(self, name: str) -> JsonValue:
        if name in self._faults:
            raise self._faults[name]
        if not super().__contains__(name):
            try:
                self[name] = self._run(self._programs[name])
            except OutOfBudget:
                raise
            except EvaluationFault as fault:
                self._faults[name] = EvaluationFault(
                    f'composited variable "{name}" fails to evaluate: {fault}'
                )
                raise self._faults[name] from fault
        return super().__getitem__(name)
