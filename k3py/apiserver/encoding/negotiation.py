"""The Accept header: which media type, and which view (Table, PartialObjectMetadata) of an object.

Source: k8s.io/apiserver/pkg/endpoints/handlers/negotiation v0.35: clauses are tried in order of quality, then of the header.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from k3py.api.status import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

JSON: Final = "application/json"
YAML: Final = "application/yaml"
PROTOBUF: Final = "application/vnd.kubernetes.protobuf"
OFFERS: Final = (JSON, YAML, PROTOBUF)
_MEMORY: Final = 512
_VIEW_VERSIONS: Final = ("v1", "v1beta1")

TABLE: Final = "Table"
METADATA: Final = "PartialObjectMetadata"
METADATA_LIST: Final = "PartialObjectMetadataList"


@dataclass(frozen=True, slots=True)
class Clause:
    """One media range of an Accept header, its parameters without q."""

    media_type: str
    parameters: Mapping[str, str]

    def match(self, offers: Iterable[str]) -> str:
        """Return the first of `offers` that this range covers, "" when none is."""
        wanted = self.media_type
        if wanted in ("*/*", ""):
            return next(iter(offers), "")
        if wanted.endswith("/*"):
            return next((offer for offer in offers if offer.startswith(wanted[:-1])), "")
        return next((offer for offer in offers if offer == wanted), "")


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What the answer is to be: media type, view ("" = the object itself) with its version, indented or not."""

    media_type: str
    view: str = ""
    view_version: str = "v1"
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_plain_json(self) -> bool:
        """Say whether served bytes can go out as they are."""
        return self.media_type == JSON and not self.view


PLAIN: Final = Negotiated(JSON)


class Negotiator:
    """Parses Accept headers; remembers a few hundred, clients send few different ones."""

    def __init__(self) -> None:
        self._clauses: dict[str, tuple[Clause, ...]] = {}
        self._objects: dict[tuple[str, str], Negotiated | None] = {}

    def parse(self, accept: str) -> tuple[Clause, ...]:
        """Return the ranges of a header, best first; no header is `*/*`."""
        clauses = self._clauses.get(accept)
        if clauses is None:
            clauses = _parse_accept(accept)
            if len(self._clauses) < _MEMORY:
                self._clauses[accept] = clauses
        return clauses

    def negotiate_object(self, accept: str, shape: str, *, protobuf: bool = True) -> Negotiated:
        """Choose for an answer that is "object", "list" or "watch". Raises ApiError 406.

        protobuf: False for kinds that have no such form (custom resources).
        """
        if accept in ("", "*/*", JSON):
            return PLAIN
        key = (accept, shape if protobuf else shape + "-")
        try:
            found = self._objects[key]
        except KeyError:
            found = self._choose(accept, shape, protobuf=protobuf)
            if len(self._objects) < _MEMORY:
                self._objects[key] = found
        if found is None:
            raise not_acceptable(OFFERS if protobuf else (JSON, YAML))
        return found

    def negotiate_document(self, accept: str, offers: tuple[str, ...] = OFFERS) -> Negotiated:
        """Choose for a document without views (discovery, Status). Raises ApiError 406."""
        if accept in ("", "*/*", JSON) and offers[0] == JSON:
            return PLAIN
        for clause in self.parse(accept):
            if "as" not in clause.parameters and (offer := clause.match(offers)):
                return Negotiated(offer, parameters=clause.parameters)
        raise not_acceptable(offers)

    def negotiate_status(self, accept: str) -> Negotiated:
        """Choose for an error: whatever fits, JSON when nothing does."""
        if accept in ("", "*/*", JSON):
            return PLAIN
        for clause in self.parse(accept):
            if offer := clause.match(OFFERS):
                if offer == PROTOBUF and clause.parameters.get("as") == TABLE:
                    continue
                return Negotiated(offer)
        return PLAIN

    def _choose(self, accept: str, shape: str, *, protobuf: bool) -> Negotiated | None:
        offers = [JSON, PROTOBUF] if shape == "watch" else [JSON, YAML, PROTOBUF]
        if not protobuf:
            offers.remove(PROTOBUF)
        acceptable: Callable[[str], bool] = {
            "object": (TABLE, METADATA).__contains__,
            "watch": (TABLE, METADATA).__contains__,
            "list": (TABLE, METADATA_LIST).__contains__,
        }[shape]
        for clause in self.parse(accept):
            view = clause.parameters.get("as", "")
            with_views = [*offers, PROTOBUF] if view and not protobuf else offers
            media_type = clause.match(with_views)
            if not media_type:
                continue
            if not view:
                return Negotiated(media_type, parameters=clause.parameters)
            version = clause.parameters.get("v", "")
            if clause.parameters.get("g") != "meta.k8s.io" or version not in _VIEW_VERSIONS:
                continue
            if not acceptable(view) or (view == TABLE and media_type == PROTOBUF):
                continue
            return Negotiated(media_type, view, version, clause.parameters)
        return None


def not_acceptable(offers: Iterable[str]) -> ApiError:
    """406: none of the media types that the client accepts can be made."""
    listed = ", ".join(offers)
    return ApiError(406, "NotAcceptable", f"only the following media types are accepted: {listed}")


def _parse_accept(accept: str) -> tuple[Clause, ...]:
    found: list[tuple[float, Clause]] = []
    for text in (accept or "*/*").split(","):
        media_type, *pairs = text.split(";")
        parameters: dict[str, str] = {}
        quality = 1.0
        for pair in pairs:
            name, _, value = pair.strip().partition("=")
            if name == "q":
                quality = _parse_quality(value)
            elif name:
                parameters[name.strip().lower()] = value.strip().strip('"')
        if quality > 0 and media_type.strip():
            found.append((quality, Clause(media_type.strip().lower(), parameters)))
    found.sort(key=lambda one: -one[0])
    return tuple(clause for _, clause in found)


def _parse_quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
