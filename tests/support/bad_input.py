"""Malformed objects, patches, selectors, queries, headers and protobuf for the fuzz test of the API.

Everything is drawn from a `random.Random` (Hypothesis gives one that shrinks). Objects start from the example of their kind
(tests/support/manifests) and are then spoilt: the type table says where a field could stand and what belongs there.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from random import Random

    from k3py.api.kind import Kind
    from k3py.api.schema.schemas import Schemas

_MANIFESTS: Final = Path(__file__).parent / "manifests"
_DEEPEST: Final = 4

# A nesting that parsers must not follow into a stack overflow, as JSON text.
_DEEP_TEXT: Final = '{"a":' * 400 + "1" + "}" * 400

HOSTILE: Final[tuple[Any, ...]] = (
    None, True, False, 0, 1, -1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 1.5, -0.0, 1e308, 1e-320,
    "", " ", "\0", "a\nb", "\u202e", "\U0001f4a3", "ß" * 64, "-", ".", "..", "/", "a/b/c", "A", "a" * 64, "a" * 254, "a" * 5000, "*",
    "kubernetes.io/x", "k8s.io/", "/k8s.io", "1", "-1", "0x1F", "1e3", "1E400", "1e999999999", "9" * 400, "0." + "0" * 400 + "1",
    "1Ki", "100m", "1u", "-5Gi", "1.5.5", "NaN", "Infinity", "1h", "10s", "-3m", "1e9h", "9999999999999h", "2020-01-01T00:00:00Z",
    "0000-00-00T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "2020-02-30T25:61:61Z", "2020-01-01T00:00:00+99:99", "10.0.0.1",
    "10.0.0.256", "::1", "fe80::1%eth0", "10.0.0.0/8", "10.0.0.1/33", "::/0", "http://[::1", "https://x:99999/", "@every 1s", "* * * * *",
    "*/0 * * * *", "61 * * * *", "TZ=Nowhere/Zone * * * * *", "(((((", "(a+)+$", "[", "a{1000}{1000}", "a{2,1}", "(?P<n>x)(?P<n>y)", "{{.x}}",
    "$(A)", "%", "25%", "101%", "-1%", "$patch", "YQ==", "not base64!", "\\", '"', "'", "self.x == 1", "Always", "TCP", "ClusterIP", "None",
    [], [None], [[]], ["a", "a"], [{}], [{"name": "a"}, {"name": "a"}], {}, {"": ""}, {"a": None}, {"$patch": "delete"}, {"name": {}},
    {"matchLabels": {"a/b/c": "x"}}, {"matchExpressions": [{"key": "a", "operator": "Within"}]}, {"key": "a" * 300},
)  # fmt: skip

SELECTORS: Final = (
    "", "a", "!a", "a=b", "a==b", "a!=b", "a in (b,c)", "a notin ()", "a in (", "a in b", "a>1", "a<x", "a=b,", ",", ",,", "=", "==", "!", "a=b=c", "a b",
    "(a)", "a in ((b))", "\0", "a=\0", "a" * 70000, "a=" + "b" * 70000, "a in (" + "b," * 5000 + "c)", "/", "a/b/c=d", "ä=ö", "a\\=b", "%", "metadata.name=",
    "metadata.name=a,metadata.name=b", "metadata.name!=x", "spec.nodeName=\\", "status.phase=Running", "metadata.namespace=..", "nope=1", "metadata.name=a\\,b",
)  # fmt: skip

QUERY_NAMES: Final = (
    "labelSelector", "fieldSelector", "limit", "continue", "resourceVersion", "resourceVersionMatch", "timeoutSeconds", "watch", "allowWatchBookmarks",
    "sendInitialEvents", "pretty", "dryRun", "fieldManager", "fieldValidation", "force", "gracePeriodSeconds", "propagationPolicy", "orphanDependents",
    "preconditions", "timeout", "includeObject", "shardSelector", "ignoreStoreReadErrorWithClusterBreakingPotential", "as", "_", "",
)  # fmt: skip

QUERY_VALUES: Final = (
    *SELECTORS[:-20], "0", "1", "-1", "2", "500", "18446744073709551616", "9223372036854775807", "1e3", "true", "false", "t", "yes", "TRUE", "All", "None",
    "Exact", "NotOlderThan", "Strict", "Warn", "Ignore", "Background", "Foreground", "Orphan", "Metadata", "Object", "1s", "1ms", "0s", "-1s", "1e9h", "9" * 100,
    "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6LTEsInN0YXJ0IjoiLi4vLi4ifQ", "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6IngifQ", "bm90IGpzb24", "e30", "W10", "****", "\xff", "\ud7ff",
)  # fmt: skip

CONTENT_TYPES: Final = (
    "application/json", "application/yaml", "application/vnd.kubernetes.protobuf", "application/json-patch+json", "application/merge-patch+json",
    "application/strategic-merge-patch+json", "application/apply-patch+yaml", "application/apply-patch+cbor", "application/cbor", "text/plain", "", ";", "application/json;charset=x",
    "multipart/form-data; boundary=x", "*/*", "\xe4",
)  # fmt: skip

HEADERS: Final = (
    ("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io"), ("Accept", "application/json;as=Table;v=v2;g=meta.k8s.io"), ("Accept", "nonsense"), ("Accept", ",;,=;q=x"),
    ("Accept", "application/vnd.kubernetes.protobuf"), ("Accept", "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io"), ("Accept", "application/yaml"),
    ("Accept", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"), ("Accept", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"),
    ("Accept", "application/cbor"), ("Accept", "a" * 20000), ("Accept-Encoding", "gzip"), ("Accept-Encoding", "br;q=1,*;q=0"), ("Content-Encoding", "gzip"), ("Content-Encoding", "nope"),
    ("Authorization", "Bearer "), ("Authorization", "Bearer a.b.c"), ("Authorization", "Bearer " + "." * 5000), ("Authorization", "Basic YTpi"), ("Authorization", "Bearer eyJhbGciOiJub25lIn0.e30."),
    ("Authorization", "Bearer eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOjF9.AAAA"), ("Authorization", "Bearer \xe4\xf6"), ("Authorization", "Bearer abcdef.0123456789abcdef"),
    ("Impersonate-User", ""), ("Impersonate-User", "system:serviceaccount:a"), ("Impersonate-User", "x\xe4"), ("Impersonate-Group", "g"), ("Impersonate-Uid", "u"), ("Impersonate-Extra-%zz", "x"),
    ("Impersonate-Extra-", "x"), ("Impersonate-User", "system:serviceaccount:../..:x"), ("X-Remote-User", "root"), ("If-None-Match", '"x"'), ("Range", "bytes=0-1"), ("Expect", "100-continue"),
    ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Protocol", "base64url.bearer.authorization.k8s.io.****"), ("Audit-Id", "x" * 5000), ("User-Agent", "curl/1"),
    ("User-Agent", "\xff" * 300), ("Cookie", "x=" * 100), ("X-Stream-Protocol-Version", "v9"), ("Content-Length", "x"), ("Host", ""), ("Host", "a b"),
)  # fmt: skip

SEGMENTS: Final = (
    "", ".", "..", "%2e%2e", "%2F", "a%2fb", "%00", "%", "%zz", "%ff", "%c3%28", "a" * 300, "namespaces", "default", "pods", "status", "scale", "log", "exec", "binding", "token", "finalize",
    "eviction", "ephemeralcontainers", "resize", "approval", "watch", "api", "apis", "v1", "v2", "apps", "nodes", "proxy", "x", "*", "~", "\xe4", "configmaps", "c", "healthz", "livez", "readyz",
    "metrics", "openapi", "v3", "openid", ".well-known", "version", "selfsubjectaccessreviews", "attach", "portforward", "services",
)  # fmt: skip


def read_manifest(kind: Kind) -> Any:
    """Return the example of a kind, None when it has none."""
    path = _MANIFESTS / f"{kind.group or 'core'}-{kind.kind.lower()}.yaml"
    return yaml.safe_load(path.read_text()) if path.exists() else None


class Spoiler:
    """Draws bad values from `random`; `schemas` knows what a good one would be."""

    def __init__(self, random: Random, schemas: Schemas) -> None:
        self._random = random
        self._table = schemas.table

    def value(self) -> Any:
        """Return any hostile value."""
        return copy.deepcopy(self._random.choice(HOSTILE))

    def of_type(self, name: str, card: str = "", depth: int = 0) -> Any:
        """Return a value that is nearly one of a type: every tenth part is hostile."""
        random = self._random
        if depth > _DEEPEST or random.random() < 0.1:
            return self.value()
        if card == "rep":
            return [self.of_type(name, "", depth + 1) for _ in range(random.choice((0, 1, 1, 2)))]
        if card == "map":
            return {str(self.value()): self.of_type(name, "", depth + 1) for _ in range(random.choice((0, 1, 2)))}
        known = self._table.find(name)
        if known is None or known.special:
            return self._scalar(name)
        fields = [one for one in known.fields if not one.hidden and one.json]
        chosen = [one for one in fields if one.required or random.random() < 1.5 / (1 + len(fields) ** 0.7)]
        return {one.json: self.of_type(one.type, one.card, depth + 1) for one in chosen}

    def _scalar(self, name: str) -> Any:
        random = self._random
        if name == "bool":
            return random.choice((True, False))
        if name in ("int32", "int64"):
            return random.choice((0, 1, 2, 80, 65535, 65536, -1, 2**31 - 1, 2**63 - 1))
        if random.random() < 0.5:
            return random.choice(("a", "b", "x.example.com", "TCP", "1", "10.0.0.1"))
        return random.choice([one for one in HOSTILE if isinstance(one, str)])

    def spoil(self, obj: Any, type_name: str) -> Any:
        """Return `obj`, which may be changed, with one to three faults."""
        for _ in range(self._random.choice((1, 1, 1, 2, 3))):
            obj = self._spoil_once(obj, type_name)
        return obj

    def _spoil_once(self, obj: Any, type_name: str) -> Any:
        random = self._random
        places = list(_places(obj))
        if not places:
            return self.value()
        parent, key = random.choice(places)
        action = random.random()
        if action < 0.35:
            parent[key] = self.value()
        elif action < 0.45:
            del parent[key]
        elif action < 0.5 and isinstance(parent, dict):
            parent[str(self.value())] = parent.pop(key)
        elif action < 0.55 and isinstance(parent, list):
            parent.append(parent[key])
        else:
            self._add_typed(obj, type_name)
        return obj

    def _add_typed(self, obj: Any, type_name: str) -> None:
        """Put a field that the type knows where it belongs, with a value that nearly fits."""
        known = self._table.find(type_name)
        while known is not None and isinstance(obj, dict) and known.json_fields:
            field = self._random.choice([*known.json_fields.values()])
            inside = obj.get(field.json)
            if isinstance(inside, list) and inside:
                inside = self._random.choice(inside)
            if isinstance(inside, dict) and field.card != "map" and self._random.random() < 0.8:
                obj, known = inside, self._table.find(field.type)
                continue
            obj[field.json] = self.of_type(field.type, field.card, 1)
            return

    def body_text(self, obj: Any) -> bytes:
        """Return an object as the bytes of a body, now and then broken as text."""
        random = self._random
        text = json.dumps(obj)
        damage = random.random()
        if damage < 0.85:
            return text.encode()
        at = random.randrange(len(text) + 1)
        if damage < 0.88:
            return text[:at].encode()
        if damage < 0.9:
            return (text[:at] + random.choice(("\0", "\\ud800", '"', "}", "[[", "\ufeff", "#")) + text[at:]).encode()
        if damage < 0.92:
            return text.encode()[:at] + bytes([random.randrange(256)]) + text.encode()[at + 1 :]
        return random.choice(
            (b"", b"null", b"[]", b"1", b'"x"', b"{}", b"{", b"\xff\xfe", _DEEP_TEXT.encode(), b"[" * 100_000, b"a: &a [*a]", b"---\n---\n", b"? {}\n: x", b"!!python/object:x {}")
        )

    def json_patch(self, obj: Any) -> Any:
        """Return a JSON patch with pointers into, beside and past an object."""
        random = self._random
        pointers = [_pointer(path) for path in _paths(obj)] or [""]
        steps = []
        for _ in range(random.choice((1, 1, 2, 5))):
            pointer = random.choice(pointers)
            pointer += random.choice(("", "", "", "/-", "/x", "/0", "/99999999999999999999", "/~", "/~2", "/-1", "//", "\0"))
            step = {"op": random.choice(("add", "remove", "replace", "move", "copy", "test", "nope", None)), "path": pointer}
            step["value"] = self.value()
            step["from"] = random.choice(pointers)
            if random.random() < 0.1:
                del step[random.choice(sorted(step))]
            steps.append(step)
        return steps if random.random() < 0.95 else self.value()

    def merge_patch(self, obj: Any, type_name: str) -> Any:
        """Return a merge or strategic patch: parts of the object, spoilt, with directives."""
        random = self._random
        patch = self.spoil(obj, type_name)
        places = list(_places(patch))
        if places and random.random() < 0.3:
            parent, key = random.choice(places)
            if isinstance(parent, dict):
                directive = random.choice(("$patch", f"$setElementOrder/{key}", f"$deleteFromPrimitiveList/{key}", "$retainKeys", "$nope"))
                parent[directive] = random.choice(("replace", "delete", "merge", "x", [], [{}], [{"name": "x"}], [1], None, {}))
        return patch


def _places(value: Any) -> Any:
    if isinstance(value, dict):
        for key in list(value):
            yield value, key
            yield from _places(value[key])
    elif isinstance(value, list):
        for at, one in enumerate(value):
            yield value, at
            yield from _places(one)


def _paths(value: Any, path: tuple[str, ...] = ()) -> Any:
    yield path
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _paths(one, (*path, str(key)))
    elif isinstance(value, list):
        for at, one in enumerate(value):
            yield from _paths(one, (*path, str(at)))


def _pointer(path: tuple[str, ...]) -> str:
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)
