"""`auth can-i` and `auth whoami`. Source: kubectl v0.35 pkg/cmd/auth."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from k3py.cli.kubectl.output import print_document
from k3py.cli.kubectl.table import print_columns
from k3py.errors import ConfigError, K3pyError

if TYPE_CHECKING:
    import argparse

    from k3py.cli.kubectl.session import Session
    from k3py.jsontypes import JsonObject

_REVIEWS: Final = "/apis/authorization.k8s.io/v1"


def add_to(commands: argparse._SubParsersAction[Any], common: argparse.ArgumentParser) -> None:
    """Add the commands below `auth`."""
    parser = commands.add_parser("auth", parents=[common], help="ask who may do what", allow_abbrev=False)
    actions = parser.add_subparsers(dest="action", required=True, parser_class=type(parser))
    can_i = actions.add_parser("can-i", parents=[common], allow_abbrev=False)
    can_i.add_argument("words", nargs="*", metavar="VERB TYPE[/NAME]")
    can_i.add_argument("-A", "--all-namespaces", action="store_true")
    can_i.add_argument("-q", "--quiet", action="store_true")
    can_i.add_argument("--list", action="store_true")
    can_i.add_argument("--no-headers", action="store_true")
    can_i.add_argument("--subresource", default="")
    can_i.set_defaults(run=run_can_i)
    whoami = actions.add_parser("whoami", parents=[common], allow_abbrev=False)
    whoami.add_argument("-o", "--output", default="", choices=("", "json", "yaml"))
    whoami.set_defaults(run=run_whoami)


async def run_can_i(session: Session, options: argparse.Namespace) -> int:
    """Say yes or no; the exit code says it, too."""
    namespace = "" if options.all_namespaces else session.namespace
    if options.list:
        return await _list(session, options, namespace)
    if len(options.words) not in (2, 3):
        raise K3pyError("you must specify two arguments: verb resource or verb resource/resourceName.")
    verb, what = options.words[:2]
    if what.startswith("/"):
        spec: JsonObject = {"nonResourceAttributes": {"verb": verb, "path": what}}
    else:
        spec = {"resourceAttributes": await _attributes(session, options, verb, what, namespace)}
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec}
    status = (await session.client.request("POST", f"{_REVIEWS}/selfsubjectaccessreviews", body=body))[
        "status"
    ]
    if not options.quiet:
        text = "yes" if status.get("allowed") else "no"
        if status.get("reason") and not status.get("allowed"):
            text += f" - {status['reason']}"
        if status.get("evaluationError"):
            text += f" - {status['evaluationError']}"
        print(text)
    return 0 if status.get("allowed") else 1


async def _attributes(
    session: Session, options: argparse.Namespace, verb: str, what: str, namespace: str
) -> JsonObject:
    word, _, name = what.partition("/")
    name = options.words[2] if len(options.words) > 2 else name
    attributes: JsonObject = {"verb": verb, "group": "*", "resource": "*"} if word == "*" else {}
    if not attributes:
        try:
            resource = await session.find_resource(word)
        except K3pyError:
            plural, _, group = word.partition(".")
            print(
                f"Warning: the server doesn't have a resource type '{plural}'"
                + (f" in group '{group}'" if group else "")
                + "\n",
                file=sys.stderr,
            )
            attributes = {"verb": verb, "group": group, "resource": plural}
        else:
            attributes = {"verb": verb, "group": resource.group, "resource": resource.plural}
            if not resource.namespaced and namespace:
                scope = f" in group '{resource.group}'" if resource.group else ""
                print(
                    f"Warning: resource '{resource.plural}' is not namespace scoped{scope}\n", file=sys.stderr
                )
                namespace = ""
    if namespace:
        attributes["namespace"] = namespace
    if name:
        attributes["name"] = name
    if options.subresource:
        attributes["subresource"] = options.subresource
    return attributes


async def _list(session: Session, options: argparse.Namespace, namespace: str) -> int:
    if options.words:
        raise ConfigError("list option must be specified with no arguments")
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    status = (await session.client.request("POST", f"{_REVIEWS}/selfsubjectrulesreviews", body=body))[
        "status"
    ]
    found: list[tuple[tuple[str, bool, str, str], list[str]]] = []
    for rule in status.get("resourceRules") or ():
        verbs = _words(rule["verbs"])
        for group in rule.get("apiGroups") or ("",):
            for resource in rule.get("resources") or ():
                plural, slash, subresource = resource.partition("/")
                shown = f"{plural}.{group}{slash}{subresource}" if group else resource
                found.append(
                    ((verbs, False, group, resource), [shown, "[]", _words(rule.get("resourceNames")), verbs])
                )
    for rule in status.get("nonResourceRules") or ():
        verbs = _words(rule["verbs"])
        found += [
            ((verbs, True, "", f"[{url}]"), ["", f"[{url}]", "[]", verbs])
            for url in rule.get("nonResourceURLs") or ()
        ]
    rows = [row for _, row in sorted(found, key=lambda one: one[0])]
    print_columns(
        ["Resources", "Non-Resource URLs", "Resource Names", "Verbs"], rows, headers=not options.no_headers
    )
    return 0


def _words(values: list[str] | None) -> str:
    return f"[{' '.join(values or ())}]"


async def run_whoami(session: Session, options: argparse.Namespace) -> int:
    """Say as whom the server sees this client."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    review = await session.client.request(
        "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body=body
    )
    if options.output:
        print_document(review, options.output)
        return 0
    user = review["status"]["userInfo"]
    rows = [["Username", user["username"]]]
    if user.get("uid"):
        rows.append(["UID", user["uid"]])
    if user.get("groups"):
        rows.append(["Groups", _words(user["groups"])])
    rows += [[f"Extra: {key}", _words(values)] for key, values in sorted((user.get("extra") or {}).items())]
    print_columns(["ATTRIBUTE", "VALUE"], rows)
    return 0
