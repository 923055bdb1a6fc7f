"""`create quota|priorityclass|poddisruptionbudget`. Source: kubectl v0.35 pkg/cmd/create."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from k3py.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from k3py.cli.kubectl.session import Session
    from k3py.jsontypes import JsonObject


def add_to(kinds: argparse._SubParsersAction[Any], parents: Sequence[argparse.ArgumentParser]) -> None:
    """Add the generators."""
    quota = kinds.add_parser("quota", aliases=["resourcequota"], parents=list(parents), allow_abbrev=False)
    quota.add_argument("name")
    quota.add_argument("--hard", default="", metavar="NAME=AMOUNT,…")
    quota.add_argument("--scopes", default="")
    quota.set_defaults(generate=make_quota, told="quota:")
    priority = kinds.add_parser("priorityclass", aliases=["pc"], parents=list(parents), allow_abbrev=False)
    priority.add_argument("name")
    priority.add_argument("--value", type=int, default=0)
    priority.add_argument("--global-default", nargs="?", const="true", default="false")
    priority.add_argument("--description", default="")
    priority.add_argument("--preemption-policy", default="PreemptLowerPriority")
    priority.set_defaults(generate=make_priority_class, told="priorityclass:")
    budget = kinds.add_parser(
        "poddisruptionbudget", aliases=["pdb"], parents=list(parents), allow_abbrev=False
    )
    budget.add_argument("name")
    budget.add_argument("--selector", default="")
    budget.add_argument("--min-available", default="")
    budget.add_argument("--max-unavailable", default="")
    budget.set_defaults(generate=make_budget, told="poddisruptionbudgets:")


async def make_quota(session: Session, options: argparse.Namespace) -> JsonObject:  # noqa: ARG001 - generators are called alike
    """Return a ResourceQuota."""
    spec: JsonObject = {}
    if options.hard:
        pairs = [one.partition("=") for one in options.hard.split(",")]
        if any(not equals for _, equals, _ in pairs):
            raise ConfigError(f"invalid argument syntax {options.hard}, expected <resource>=<value>")
        spec["hard"] = {key: value for key, _, value in pairs}
    if options.scopes:
        spec["scopes"] = options.scopes.split(",")
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": options.name},
        "spec": spec,
        "status": {},
    }


async def make_priority_class(session: Session, options: argparse.Namespace) -> JsonObject:  # noqa: ARG001
    """Return a PriorityClass."""
    made: JsonObject = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": options.name},
        "preemptionPolicy": options.preemption_policy,
        "value": options.value,
    }
    if options.global_default == "true":
        made["globalDefault"] = True
    if options.description:
        made["description"] = options.description
    return made


async def make_budget(session: Session, options: argparse.Namespace) -> JsonObject:  # noqa: ARG001
    """Return a PodDisruptionBudget."""
    if not options.selector:
        raise ConfigError("a selector must be specified")
    if bool(options.min_available) == bool(options.max_unavailable):
        raise ConfigError("one of min-available or max-unavailable must be specified")
    labels = dict(one.split("=", 1) for one in options.selector.split(","))
    field, text = (
        ("minAvailable", options.min_available)
        if options.min_available
        else ("maxUnavailable", options.max_unavailable)
    )
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": options.name},
        "spec": {field: int(text) if text.isdecimal() else text, "selector": {"matchLabels": labels}},
        "status": {"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0},
    }
