"""What stands behind the Service `kubernetes`: Endpoints and EndpointSlice of API servers. Pure."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from k3py.jsontypes import JsonObject


def make_endpoints(addresses: Mapping[int, Sequence[str]]) -> JsonObject:
    """Return the Endpoints `default/kubernetes` with addresses by port, in order."""
    return {
        "kind": "Endpoints",
        "apiVersion": "v1",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
        },
        "subsets": [
            {
                "addresses": [{"ip": one} for one in sorted(at_port)],
                "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
            }
            for port, at_port in sorted(addresses.items())
        ],
    }


def make_endpoint_slice(addresses: Sequence[str], port: int) -> JsonObject:
    """Return the EndpointSlice `default/kubernetes`; the first address, of which there is one at least, says the family."""
    return {
        "kind": "EndpointSlice",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "kubernetes"},
        },
        "addressType": f"IPv{ipaddress.ip_address(addresses[0]).version}",
        "endpoints": [{"addresses": [one], "conditions": {"ready": True}} for one in addresses],
        "ports": [{"name": "https", "protocol": "TCP", "port": port}],
    }
