"""Where the clientConfig of a webhook points."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from k3py.jsontypes import JsonObject


def url_of(client: JsonObject) -> str:
    """Return where a clientConfig points; Services as https://NAME.NAMESPACE.svc:PORT."""
    if client.get("url"):
        return str(client["url"])
    service = client.get("service") or {}
    place = f"{service.get('name', '')}.{service.get('namespace', '')}.svc"
    path = service.get("path") or ""
    if path and not path.startswith("/"):
        path = f"/{path}"
    return f"https://{place}:{service.get('port') or 443}{path}"
