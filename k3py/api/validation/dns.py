"""Names and name resolution of pods. Source: kubernetes/pkg/apis/core/validation/validation.go v1.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import forbidden_field, invalid_value, required
from k3py.api.names import find_label_faults, find_subdomain_faults
from k3py.api.validation.scalar import check_choice, check_ip, check_text

if TYPE_CHECKING:
    from k3py.api.fielderror import FieldError
    from k3py.jsontypes import JsonObject

_POLICIES: Final = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_MOST_SERVERS: Final = 3
_MOST_SEARCHES: Final = 32
_MOST_SEARCH_CHARS: Final = 2048
_LONGEST_HOSTNAME: Final = 64


def validate_names(spec: JsonObject, path: str) -> list[FieldError]:
    """Check hostname, subdomain and host aliases."""
    errors: list[FieldError] = []
    for field in ("hostname", "subdomain"):
        if spec.get(field):
            errors += check_text(spec[field], f"{path}.{field}", find_label_faults)
    override, where = spec.get("hostnameOverride"), f"{path}.hostnameOverride"
    if override is not None:
        if spec.get("setHostnameAsFQDN"):
            detail = "may not be specified when setHostnameAsFQDN is true"
            errors.append(forbidden_field(where, detail))
        if spec.get("hostNetwork"):
            errors.append(forbidden_field(where, "may not be specified when hostNetwork is true"))
        if len(override) > _LONGEST_HOSTNAME:
            detail = f"must be no more than {_LONGEST_HOSTNAME} characters"
            errors.append(invalid_value(where, override, detail))
        errors += check_text(override, where, find_subdomain_faults)
    for index, alias in enumerate(spec.get("hostAliases") or ()):
        at = f"{path}.hostAliases[{index}]"
        errors += check_ip(alias.get("ip", ""), f"{at}.ip")
        for number, name in enumerate(alias.get("hostnames") or ()):
            errors += check_text(name, f"{at}.hostnames[{number}]", find_subdomain_faults)
    return errors


def validate_dns(spec: JsonObject, path: str) -> list[FieldError]:
    """Check dnsPolicy and dnsConfig."""
    policy, config = spec.get("dnsPolicy", "ClusterFirst"), spec.get("dnsConfig")
    errors = check_choice(policy, f"{path}.dnsPolicy", _POLICIES)
    where = f"{path}.dnsConfig"
    if policy == "None":
        if config is None:
            return [*errors, required(where, "must provide `dnsConfig` when `dnsPolicy` is None")]
        if not config.get("nameservers"):
            detail = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            return [*errors, required(f"{where}.nameservers", detail)]
    if config is None:
        return errors
    servers, searches = config.get("nameservers") or (), config.get("searches") or ()
    if len(servers) > _MOST_SERVERS:
        detail = f"must not have more than {_MOST_SERVERS} nameservers"
        errors.append(invalid_value(f"{where}.nameservers", list(servers), detail))
    for index, server in enumerate(servers):
        errors += check_ip(server, f"{where}.nameservers[{index}]")
    if len(searches) > _MOST_SEARCHES:
        detail = f"must not have more than {_MOST_SEARCHES} search paths"
        errors.append(invalid_value(f"{where}.searches", list(searches), detail))
    if len(" ".join(searches)) > _MOST_SEARCH_CHARS:
        detail = (
            f"must not have more than {_MOST_SEARCH_CHARS} characters (including spaces) in the search list"
        )
        errors.append(invalid_value(f"{where}.searches", list(searches), detail))
    for index, search in enumerate(searches):
        if search != ".":
            errors += check_text(search.removesuffix("."), f"{where}.searches[{index}]", _find_search_faults)
    errors += [
        required(f"{where}.options[{index}]", "must not be empty")
        for index, option in enumerate(config.get("options") or ())
        if not option.get("name")
    ]
    return errors


def _find_search_faults(search: str) -> list[str]:
    """Underscores are allowed in search paths (SRV records)."""
    return find_subdomain_faults(search.replace("_", "a"))
