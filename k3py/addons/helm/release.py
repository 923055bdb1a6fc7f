"""What helm is to be told for a HelmChart: files and arguments. Pure. Secrets are in files only, never in arguments.

Source: k3s-io/helm-controller pkg/controllers/chart; order of values P-42.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import orjson

from k3py.api.timestamps import parse_duration
from k3py.errors import K3pyError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from k3py.jsontypes import JsonObject

KUBERNETES_API: Final = "%{KUBERNETES_API}%"
_STATIC: Final = f"https://{KUBERNETES_API}/static/"
_REPOSITORY: Final = "repository"
_TIMEOUT_S: Final = 300.0


class ReleaseError(K3pyError):
    """A HelmChart cannot be worked on as it is; names the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """What a chart refers to, found or not.

    values: texts of the Secrets of valuesSecrets by (Secret, key). auth: user and password of the repository, None = none is named.
    docker: config.json of registries, "" = none. ca: PEM of the repository's authority, "" = none is named.
    """

    values: Mapping[tuple[str, str], str] = field(default_factory=dict, repr=False)
    auth: tuple[str, str] | None = field(default=None, repr=False)
    docker: str = field(default="", repr=False)
    ca: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What to install. files: content by name, in a folder that is helm's working directory; chart: its argument; options: of install and upgrade.

    driver: where helm keeps releases, "" = in Secrets.
    """

    name: str
    namespace: str
    chart: str
    options: tuple[str, ...]
    files: Mapping[str, bytes] = field(repr=False)
    policy: str
    timeout_s: float
    uses_repository: bool
    driver: str = ""


def target_namespace(chart: JsonObject) -> str:
    """Return where a chart is installed."""
    return str(chart["spec"].get("targetNamespace") or chart["metadata"]["namespace"])


def config_hash(chart: JsonObject, config: JsonObject | None, references: References) -> str:
    """Return a hash of all that decides what is installed; Secrets whose updates are to be ignored are left out."""
    spec = chart.get("spec") or {}
    own = (config or {}).get("spec") or {}
    ignored = {
        one.get("name")
        for owner in (spec, own)
        for one in owner.get("valuesSecrets") or ()
        if one.get("ignoreUpdates")
    }
    values = sorted((*key, text) for key, text in references.values.items() if key[0] not in ignored)
    document = orjson.dumps([spec, own, values, references.ca], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(document).hexdigest()


def plan_release(
    chart: JsonObject, config: JsonObject | None, references: References, *, static: str
) -> Release:
    """Return what to install for a chart with its HelmChartConfig.

    static: the folder that `https://%{KUBERNETES_API}%/static/` stands for.

    Raises:
        ReleaseError: a field cannot be used.
    """
    spec, own = chart["spec"], (config or {}).get("spec") or {}
    files: dict[str, bytes] = {}
    name = _plan_chart(spec, files, static=static)
    options: list[str] = []
    uses_repository = bool(spec.get("repo")) and not spec.get("chartContent")
    if uses_repository:
        files["repositories.json"] = _repositories(spec, references)
        name = f"{_REPOSITORY}/{name}"
    if references.ca:
        files["ca.crt"] = references.ca.encode()
        options.append("--ca-file=ca.crt")
    if references.docker:
        files["registry.json"] = references.docker.encode()
    if spec.get("version"):
        options.append(f"--version={spec['version']}")
    for flag, field_name in (
        ("--create-namespace", "createNamespace"),
        ("--insecure-skip-tls-verify", "insecureSkipTLSVerify"),
        ("--plain-http", "plainHTTP"),
        ("--take-ownership", "takeOwnership"),
    ):
        if spec.get(field_name):
            options.append(flag)
    options += _plan_values(spec, own, references, files)
    timeout_s = _timeout_s(spec)
    options.append(f"--timeout={timeout_s:g}s")
    return Release(
        name=chart["metadata"]["name"],
        namespace=target_namespace(chart),
        chart=name,
        options=tuple(options),
        files=files,
        policy=own.get("failurePolicy") or spec.get("failurePolicy") or "reinstall",
        timeout_s=timeout_s,
        uses_repository=uses_repository,
        driver=driver_of(chart),
    )


def driver_of(chart: JsonObject) -> str:
    """Return where helm keeps the release, "" = in Secrets. Raises ReleaseError."""
    driver = str((chart.get("spec") or {}).get("driver") or "")
    if driver not in ("", "secret", "secrets", "configmap", "configmaps"):
        raise ReleaseError(f"spec.driver: {driver!r}: must be secret or configmap")
    return driver


def _plan_chart(spec: JsonObject, files: dict[str, bytes], *, static: str) -> str:
    if content := spec.get("chartContent"):
        try:
            files["chart.tgz"] = base64.b64decode("".join(content.split()), validate=True)
        except binascii.Error as error:
            raise ReleaseError("spec.chartContent: must be the base64 of a chart's archive") from error
        return "./chart.tgz"
    name = str(spec.get("chart") or "")
    if name.startswith(_STATIC):
        if ".." in name:
            raise ReleaseError(f"spec.chart: {name!r}: must not have ..")
        return f"{static}/{name.removeprefix(_STATIC)}"
    if not name or name.startswith("-"):
        raise ReleaseError(
            f"spec.chart: {name!r}: must be a chart's name or URL, or spec.chartContent be given"
        )
    if not spec.get("repo") and "://" not in name:
        raise ReleaseError(f"spec.chart: {name!r}: must be a URL when spec.repo is not given")
    return name


def _repositories(spec: JsonObject, references: References) -> bytes:
    username, password = references.auth or ("", "")
    entry = {
        "name": _REPOSITORY,
        "url": spec["repo"],
        "username": username,
        "password": password,
        "caFile": "ca.crt" if references.ca else "",
        "insecure_skip_tls_verify": bool(spec.get("insecureSkipTLSVerify")),
        "pass_credentials_all": bool(spec.get("authPassCredentials")),
    }
    return orjson.dumps({"apiVersion": "", "repositories": [entry]})


def _plan_values(
    spec: JsonObject, own: JsonObject, references: References, files: dict[str, bytes]
) -> list[str]:
    """Later ones win: the chart's, its Secrets, the config's, its Secrets, `set`."""
    options: list[str] = []

    def add(text: str) -> None:
        name = f"values-{len(options):02}.yaml"
        files[name] = text.encode()
        options.append(f"--values={name}")

    for owner in (spec, own):
        if owner.get("valuesContent"):
            add(owner["valuesContent"])
        for secret in owner.get("valuesSecrets") or ():
            for key in secret.get("keys") or ():
                text = references.values.get((secret.get("name", ""), key))
                if text is None:
                    raise ReleaseError(
                        f"spec.valuesSecrets: Secret {secret.get('name', '')} has no key {key}"
                    )
                add(text)
    pairs: Sequence[tuple[str, object]] = sorted((spec.get("set") or {}).items())
    for key, value in pairs:
        text = str(value)
        typed = (
            value is None or not isinstance(value, str) or text in ("true", "false", "null") or text.isdigit()
        )
        shown = "null" if value is None else text if typed else text.replace("\\", "\\\\").replace(",", "\\,")
        options.append(f"--set{'' if typed else '-string'}={key}={shown}")
    return options


def _timeout_s(spec: JsonObject) -> float:
    given = spec.get("timeout")
    if not given:
        return _TIMEOUT_S
    try:
        seconds = parse_duration(given) / 1e9
    except ValueError as error:
        raise ReleaseError(f"spec.timeout: {given!r}: must be a duration such as 5m") from error
    if seconds <= 0:
        raise ReleaseError(f"spec.timeout: {given!r}: must be more than nothing")
    return seconds
