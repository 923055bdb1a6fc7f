"""Compact type schemas generated at build time: decoding, pruning, defaults, merge keys, list types, protobuf numbers.

`load_schema()` makes a `Schemas`; its owner keeps it (there is no global). Types are read at first use, one by one, and their
decoders and defaulters compiled to closures then, so an idle server holds only what it met.

What a handler does with a request body: `decode` (types, unknown fields, canonical form), then `default`. The canonical form is
what Go's structs serialise to, which clients see: fields in protobuf order, empty optional ones left out, zero structs shown as {}
("resources": {}), and **None** for absent mandatory lists, maps and times (`rules: null`): iterate `obj.get("rules") or ()`.
Until `settle` an empty mandatory list stays [] (who wrote it owns the field), afterwards it is null, too.
`default` fills what upstream's defaulting and conversion functions fill, for all kinds (but the annotation that counts a DaemonSet's
templates); what strategies, admission and allocation fill (phase on create, qosClass, clusterIP, tolerations, …) is elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from k3py.api.schema.schemas import Schemas


def load_schema() -> Schemas:
    """Return the schemas of the built-in types; costs an index of names, types are read when used."""
    from k3py.api.schema.schemas import Schemas  # noqa: PLC0415 - heavy modules are imported when chosen
    from k3py.api.schema.table import read_table  # noqa: PLC0415

    return Schemas(read_table())
