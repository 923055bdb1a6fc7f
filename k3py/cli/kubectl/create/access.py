"""`create serviceaccount|token|role|clusterrole|rolebinding|clusterrolebinding`. Source: kubectl v0.35 pkg/cmd/create."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from k3py.api.resource import SERVICE_ACCOUNTS
from k3py.api.timestamps import parse_duration
from k3py.cli.kubectl.output import print_object
from k3py.errors import ConfigError, K3pyError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from k3py.cli.kubectl.session import Session
    from k3py.jsontypes import JsonObject

_GROUP: Final = "rbac.authorization.k8s.io"


def add_to(kinds: argparse._SubParsersAction[Any], parents: Sequence[argparse.ArgumentParser]) -> None:
    """Add the generators."""
    account = kinds.add_parser("serviceaccount", aliases=["sa"], parents=list(parents), allow_abbrev=False)
    account.add_argument("name")
    account.set_defaults(generate=make_account, told="serviceaccount:")
    token = kinds.add_parser("token", parents=list(parents), allow_abbrev=False)
    token.add_argument("name")
    token.add_argument("--audience", action="append", default=[])
    token.add_argument("--duration", default="", metavar="DURATION")
    token.set_defaults(run=run_token)
    for name in ("role", "clusterrole"):
        role = kinds.add_parser(name, parents=list(parents), allow_abbrev=False)
        role.add_argument("name")
        role.add_argument("--verb", action="append", default=[])
        role.add_argument("--resource", action="append", default=[])
        role.add_argument("--resource-name", action="append", default=[])
        if name == "clusterrole":
            role.add_argument("--non-resource-url", action="append", default=[])
            role.add_argument("--aggregation-rule", default="", metavar="KEY=VALUE")
        role.set_defaults(generate=make_role, told="", role_kind=name)
    for name in ("rolebinding", "clusterrolebinding"):
        binding = kinds.add_parser(name, parents=list(parents), allow_abbrev=False)
        binding.add_argument("name")
        binding.add_argument("--clusterrole", default="")
        if name == "rolebinding":
            binding.add_argument("--role", default="")
        for flag in ("user", "group", "serviceaccount"):
            binding.add_argument(f"--{flag}", action="append", default=[])
        binding.set_defaults(generate=make_binding, told=f"{name}:", role="", binding_kind=name)


async def make_account(session: Session, options: argparse.Namespace) -> JsonObject:  # noqa: ARG001 - generators are called alike
    """Return a ServiceAccount."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": options.name}}


async def run_token(session: Session, options: argparse.Namespace) -> int:
    """Print a token of an account."""
    spec: JsonObject = {}
    if options.audience:
        spec["audiences"] = options.audience
    if options.duration:
        try:
            spec["expirationSeconds"] = parse_duration(options.duration) // 1_000_000_000
        except ValueError as error:
            raise ConfigError(
                f'invalid argument "{options.duration}" for "--duration" flag: {error}'
            ) from error
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    made = await session.client.create(
        SERVICE_ACCOUNTS, body, namespace=session.namespace, name=options.name, subresource="token"
    )
    if options.output in ("json", "yaml"):
        print_object(options, made)
    else:
        print(made["status"]["token"])
    return 0


def _split(values: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(one for text in values for one in text.split(",") if one))


async def make_role(session: Session, options: argparse.Namespace) -> JsonObject:
    """Return a Role or ClusterRole; resources are looked up, so that their group is known."""
    cluster = options.role_kind == "clusterrole"
    made: JsonObject = {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "ClusterRole" if cluster else "Role",
        "metadata": {"name": options.name},
    }
    if cluster and options.aggregation_rule:
        labels = dict(one.split("=", 1) for one in options.aggregation_rule.split(","))
        return made | {"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": labels}]}, "rules": None}
    verbs = _split(options.verb)
    if not verbs:
        raise ConfigError("at least one verb must be specified")
    urls = _split(options.non_resource_url) if cluster else []
    if not options.resource and not urls:
        what = (
            "one of resource or nonResourceURL must be specified"
            if cluster
            else "at least one resource must be specified"
        )
        raise ConfigError(what)
    rules: list[JsonObject] = []
    names = _split(options.resource_name)
    by_group: dict[str, list[str]] = {}
    for text in _split(options.resource):
        word, _, subresource = text.partition("/")
        group, plural = ("", "*") if word == "*" else await _find(session, word)
        by_group.setdefault("*" if word == "*" else group, []).append(
            f"{plural}/{subresource}" if subresource else plural
        )
    for group, plurals in by_group.items():
        rule: JsonObject = {
            "apiGroups": [group],
            "resources": plurals,
            "verbs": ["*"] if "*" in verbs else verbs,
        }
        if names:
            rule["resourceNames"] = names
        rules.append(rule)
    if urls:
        rules.append({"nonResourceURLs": urls, "verbs": verbs})
    return made | {"rules": rules}


async def _find(session: Session, word: str) -> tuple[str, str]:
    resource = await session.find_resource(word)
    return resource.group, resource.plural


async def make_binding(session: Session, options: argparse.Namespace) -> JsonObject:  # noqa: ARG001
    """Return a RoleBinding or ClusterRoleBinding."""
    if bool(options.role) == bool(options.clusterrole):
        raise K3pyError(
            "exactly one of clusterrole or role must be specified"
            if options.binding_kind == "rolebinding"
            else "clusterrole must be specified"
        )
    subjects: list[JsonObject] = [
        {"apiGroup": _GROUP, "kind": "User", "name": one} for one in _split(options.user)
    ]
    subjects += [{"apiGroup": _GROUP, "kind": "Group", "name": one} for one in _split(options.group)]
    for one in _split(options.serviceaccount):
        namespace, colon, name = one.partition(":")
        if not colon or not namespace or not name:
            raise ConfigError("serviceaccount must be <namespace>:<name>")
        subjects.append({"kind": "ServiceAccount", "name": name, "namespace": namespace})
    role = {
        "apiGroup": _GROUP,
        "kind": "ClusterRole" if options.clusterrole else "Role",
        "name": options.clusterrole or options.role,
    }
    kind = "ClusterRoleBinding" if options.binding_kind == "clusterrolebinding" else "RoleBinding"
    made: JsonObject = {
        "apiVersion": f"{_GROUP}/v1",
        "kind": kind,
        "metadata": {"name": options.name},
        "roleRef": role,
    }
    return made | {"subjects": subjects} if subjects else made
