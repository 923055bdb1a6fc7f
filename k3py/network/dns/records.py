"""What the cluster's DNS knows: names of services and pods (DNS specification 1.1.0, api-machinery.md §7.3), read from informers.

Nothing is kept here: an answer is looked up in the caches when somebody asks.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from k3py.api.resource import ENDPOINT_SLICES, SERVICES
from k3py.wire.dns import AAAA, ANY, CNAME, NXDOMAIN, PTR, SRV, TXT, A, Answer, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from k3py.client.interface import InformerFactory
    from k3py.jsontypes import JsonObject

TTL_S: Final = 5
SERVICE_LABEL: Final = "kubernetes.io/service-name"
_BY_SERVICE: Final = "dns-service"
_BY_ADDRESS: Final = "dns-address"
_SCHEMA: Final = "1.1.0"


class ClusterRecords:
    """Answers for the cluster's domain and for the reverse names of its addresses.

    Args:
        informers: of services and endpoint slices.
        domain: "cluster.local".
    """

    def __init__(self, informers: InformerFactory, *, domain: str) -> None:
        self.domain = domain.lower().rstrip(".")
        services, slices = informers.informer(SERVICES), informers.informer(ENDPOINT_SLICES)
        services.add_index(_BY_ADDRESS, _addresses_of_service)
        slices.add_index(_BY_SERVICE, _service_of_slice)
        slices.add_index(_BY_ADDRESS, _addresses_of_slice)
        self._informers = (services, slices)
        self._services, self._slices = services.lister, slices.lister

    async def wait_synced(self) -> None:
        """Return once all names are known."""
        for informer in self._informers:
            await informer.wait_synced()

    def find(self, name: str, kind: int) -> Answer | None:
        """Answer a question, or return None when the name is not the cluster's. `name` without a final dot, any case."""
        lowered = name.lower()
        if lowered.endswith((".in-addr.arpa", ".ip6.arpa")):
            return self._find_reverse(name, lowered, kind)
        if lowered == self.domain:
            return Answer()
        if not lowered.endswith(f".{self.domain}"):
            return None
        labels = lowered[: -len(self.domain) - 1].split(".")
        if labels == ["dns-version"]:
            return only((Record(name, TXT, TTL_S, _SCHEMA),), kind)
        match labels[::-1]:
            case ["svc"] | ["pod"] | ["svc", _] | ["pod", _]:
                return self._find_branch(labels)
            case ["svc", namespace, service, *rest]:
                return self._find_service(name, kind, namespace, service, rest[::-1])
            case ["pod", _, address]:
                return _find_pod(name, kind, address)
        return Answer(NXDOMAIN)

    def _find_branch(self, labels: Sequence[str]) -> Answer:
        """A name on the way to others exists, without records of its own."""
        if len(labels) == 2 and labels[1] == "svc" and not self._services.list(labels[0]):
            return Answer(NXDOMAIN)
        return Answer()

    def _find_service(
        self, name: str, kind: int, namespace: str, service_name: str, rest: Sequence[str]
    ) -> Answer:
        service = self._services.find(namespace, service_name)
        if service is None:
            return Answer(NXDOMAIN)
        spec = service["spec"]
        base = f"{service_name}.{namespace}.svc.{self.domain}"
        if spec.get("type") == "ExternalName":
            if rest:
                return Answer(NXDOMAIN)
            return Answer(
                records=(Record(name, CNAME, TTL_S, str(spec.get("externalName", "")).rstrip(".")),)
            )
        if len(rest) == 2 and all(label.startswith("_") for label in rest):
            return self._find_srv(name, kind, service, base, rest[0][1:], rest[1][1:])
        if spec.get("clusterIP") == "None":
            return self._find_headless(name, kind, service, rest)
        if rest:
            return Answer(NXDOMAIN)
        return only(address_records(name, _cluster_ips(spec)), kind)

    def _find_headless(self, name: str, kind: int, service: JsonObject, rest: Sequence[str]) -> Answer:
        found = []
        for endpoint, _ in self._endpoints(service):
            if not rest or (len(rest) == 1 and host_of(endpoint) == rest[0]):
                found += endpoint["addresses"]
        if not found:
            return Answer(NXDOMAIN)
        return only(address_records(name, dict.fromkeys(found)), kind)

    def _find_srv(
        self, name: str, kind: int, service: JsonObject, base: str, port_name: str, protocol: str
    ) -> Answer:
        records: list[Record] = []
        extra: list[Record] = []
        if service["spec"].get("clusterIP") != "None":
            records += [
                Record(name, SRV, TTL_S, (0, 100, int(port["port"]), base))
                for port in service["spec"].get("ports") or ()
                if _is_port(port, port_name, protocol)
            ]
            extra += address_records(base, _cluster_ips(service["spec"])) if records else ()
        else:
            for endpoint, ports in self._endpoints(service):
                target = f"{host_of(endpoint)}.{base}"
                matching = [port for port in ports if _is_port(port, port_name, protocol)]
                records += [
                    Record(name, SRV, TTL_S, (0, 100, int(port["port"]), target)) for port in matching
                ]
                extra += address_records(target, endpoint["addresses"]) if matching else ()
        if not records:
            return Answer(NXDOMAIN)
        if kind not in (SRV, ANY):
            return Answer()
        return Answer(records=tuple(records), extra=tuple(dict.fromkeys(extra)))

    def _endpoints(self, service: JsonObject) -> Iterable[tuple[JsonObject, Sequence[JsonObject]]]:
        """Yield the endpoints that are ready (all, where the service says so), each with its ports."""
        metadata = service["metadata"]
        every = bool(service["spec"].get("publishNotReadyAddresses"))
        for one in self._slices.by_index(_BY_SERVICE, f"{metadata['namespace']}/{metadata['name']}"):
            for endpoint in one.get("endpoints") or ():
                if every or (endpoint.get("conditions") or {}).get("ready") is not False:
                    yield endpoint, one.get("ports") or ()

    def _find_reverse(self, name: str, lowered: str, kind: int) -> Answer | None:
        address = read_reverse(lowered)
        if address is None:
            return None
        targets = []
        for service in self._services.by_index(_BY_ADDRESS, address):
            metadata = service["metadata"]
            targets.append(f"{metadata['name']}.{metadata['namespace']}.svc.{self.domain}")
        for one in self._slices.by_index(_BY_ADDRESS, address):
            metadata = one["metadata"]
            service_name = (metadata.get("labels") or {}).get(SERVICE_LABEL, "")
            found = self._services.find(metadata["namespace"], service_name)
            if found is None or found["spec"].get("clusterIP") != "None":
                continue
            base = f"{service_name}.{metadata['namespace']}.svc.{self.domain}"
            targets += [
                f"{host_of(endpoint)}.{base}"
                for endpoint in one.get("endpoints") or ()
                if address in endpoint["addresses"]
            ]
        if not targets:
            return None
        return only(tuple(Record(name, PTR, TTL_S, target) for target in dict.fromkeys(targets)), kind)


def host_of(endpoint: JsonObject) -> str:
    """Return an endpoint's own label: its host name, or its address with dashes."""
    return str(endpoint.get("hostname") or endpoint["addresses"][0].replace(".", "-").replace(":", "-"))


def read_reverse(name: str) -> str | None:
    """Return the address of a reverse name ("1.0.43.10.in-addr.arpa"), None when it is not a whole one."""
    labels = name.split(".")[:-2][::-1]
    text = ".".join(labels)
    if name.endswith(".ip6.arpa"):
        digits = "".join(labels)
        text = ":".join(digits[at : at + 4] for at in range(0, len(digits), 4))
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def _cluster_ips(spec: JsonObject) -> Sequence[str]:
    return spec.get("clusterIPs") or [spec["clusterIP"]] if spec.get("clusterIP") else []


def address_records(name: str, addresses: Iterable[str]) -> tuple[Record, ...]:
    """Return A and AAAA records for a name."""
    return tuple(Record(name, AAAA if ":" in address else A, TTL_S, address) for address in addresses)


def only(records: tuple[Record, ...], kind: int) -> Answer:
    """Return the records of the asked type; a name without any of them exists all the same."""
    return Answer(records=tuple(record for record in records if kind in (ANY, record.type)))


def _is_port(port: JsonObject, name: str, protocol: str) -> bool:
    return bool(
        port.get("name") and port["name"].lower() == name and port.get("protocol", "TCP").lower() == protocol
    )


def _find_pod(name: str, kind: int, address: str) -> Answer:
    """Names made of an address with dashes say what they are made of; no pod is looked up (as CoreDNS' "pods insecure")."""
    text = address.replace("-", ".") if address.count("-") == 3 else address.replace("-", ":")
    try:
        found = str(ipaddress.ip_address(text))
    except ValueError:
        return Answer(NXDOMAIN)
    return only(address_records(name, (found,)), kind)


def _addresses_of_service(service: JsonObject) -> Sequence[str]:
    return [one for one in service["spec"].get("clusterIPs") or () if one != "None"]


def _service_of_slice(one: JsonObject) -> Sequence[str]:
    name = (one["metadata"].get("labels") or {}).get(SERVICE_LABEL)
    return [f"{one['metadata']['namespace']}/{name}"] if name else []


def _addresses_of_slice(one: JsonObject) -> Sequence[str]:
    return [address for endpoint in one.get("endpoints") or () for address in endpoint["addresses"]]
