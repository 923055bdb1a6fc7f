"""WATCH of a collection or of one object."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from k3py.api.status import bad_request
from k3py.apiserver.interface import WatchResult
from k3py.apiserver.registry.conversion import serve_page, serve_watch, split_fields
from k3py.apiserver.registry.errors import bad_resource_version
from k3py.apiserver.registry.selection import is_set, parse_fields, parse_labels, validate_list_options
from k3py.storage.interface import ListQuery, WatchQuery

if TYPE_CHECKING:
    from k3py.api.selectors import FieldSelector, LabelSelector
    from k3py.apiserver.registry.call import Call

_SHORTEST_S: Final = 1800


async def watch(call: Call) -> WatchResult:
    """Open a watch; faults of the query are raised here, those of the revision when it is entered. Raises ApiError."""
    options = call.request.options
    labels, fields = parse_labels(options), parse_fields(call)
    validate_list_options(options, watch=True)
    version = options.get("resourceVersion", "")
    if version and not version.isdigit():
        raise bad_resource_version(version)
    after = int(version) if version and version != "0" else None
    if after is None and "sendInitialEvents" in options and not is_set(options, "sendInitialEvents"):
        after = (await call.store.list(ListQuery(limit=1))).revision  # the client wants nothing but news
    timeout_s = _timeout_s(options.get("timeoutSeconds", ""))
    fields, own_fields = split_fields(call.kind, call.store, fields)
    selected = (
        ()
        if own_fields is None or after is None
        else await _list_selected(call, after, labels, fields, own_fields)
    )
    query = WatchQuery(
        namespace=call.namespace,
        labels=labels,
        fields=fields,
        after=after,
        initial_events=is_set(options, "sendInitialEvents"),
        bookmarks=is_set(options, "allowWatchBookmarks"),
        lifetime_s=timeout_s,
    )
    return WatchResult(
        kind=call.kind,
        events=serve_watch(call.kind, call.store, call.store.watch(query), own_fields, selected),
        timeout_s=timeout_s,
    )


async def _list_selected(
    call: Call,
    revision: int,
    labels: LabelSelector | None,
    fields: FieldSelector | None,
    own_fields: FieldSelector,
) -> list[str]:
    """Return uids of what was selected at the revision from which a watch goes on."""
    query = ListQuery(
        namespace=call.namespace, labels=labels, fields=fields, revision=revision, match="Exact"
    )
    page = await serve_page(call.kind, call.store, await call.store.list(query), own_fields)
    return [view.uid for view in page.items]


def _timeout_s(text: str) -> float:
    """Return how long the watch lives; without a wish something random, so that clients do not come back all at once."""
    if text:
        try:
            wish = int(text)
        except ValueError as error:
            raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from error
        if wish > 0:
            return float(wish)
    return _SHORTEST_S * (1.0 + random.random())  # noqa: S311 - spreads load, guards nothing
