"""A pod template as `rollout history --revision` shows it. Source: kubectl v0.35 pkg/describe DescribePodTemplate."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from k3py.jsontypes import JsonObject


def describe_template(template: JsonObject) -> str:
    """Return the description, with its heading; it ends with a line break."""
    metadata, spec = template.get("metadata") or {}, template["spec"]
    lines = ["Pod Template:", *_map("  Labels:\t", metadata.get("labels") or {})]
    if metadata.get("annotations"):
        lines += _map("  Annotations:\t", metadata["annotations"], separator=": ")
    if spec.get("serviceAccountName"):
        lines.append(f"  Service Account:\t{spec['serviceAccountName']}")
    for title, field in (("Init Containers", "initContainers"), ("Containers", "containers")):
        containers = spec.get(field) or ()
        if containers:
            lines.append(f"  {title}:")
            lines += [line for one in containers for line in _container(one)]
    lines += _volumes(spec.get("volumes") or ())
    selector = spec.get("nodeSelector") or {}
    lines += _map("  Node-Selectors:\t", selector)
    lines += _tolerations(spec.get("tolerations") or ())
    return "\n".join(lines) + "\n"


def _map(title: str, values: Mapping[str, str], *, separator: str = "=") -> list[str]:
    if not values:
        return [f"{title}<none>"]
    pairs = [f"{key}{separator}{value}" for key, value in sorted(values.items())]
    return [f"{title}{pairs[0]}", *(f"\t{one}" for one in pairs[1:])]


def _container(one: JsonObject) -> Iterator[str]:
    yield f"   {one['name']}:"
    yield f"    Image:\t{one['image']}"
    ports = one.get("ports") or ()
    if not ports:
        yield "    Port:\t<none>"
        yield "    Host Port:\t<none>"
    else:
        plural = "s" if len(ports) > 1 else ""
        yield f"    Port{plural}:\t{', '.join(_port(port, 'containerPort') for port in ports)}"
        yield f"    Host Port{plural}:\t{', '.join(_port(port, 'hostPort') for port in ports)}"
    for title, field in (("Command", "command"), ("Args", "args")):
        if one.get(field):
            yield f"    {title}:"
            yield from (f"      {line}" for word in one[field] for line in word.splitlines() or [""])
    resources = one.get("resources") or {}
    for title, field in (("Limits", "limits"), ("Requests", "requests")):
        if resources.get(field):
            yield f"    {title}:"
            yield from (f"      {key}:\t{value}" for key, value in sorted(resources[field].items()))
    yield from _environment(one)
    mounts = one.get("volumeMounts") or ()
    yield "    Mounts:" + ("" if mounts else "\t<none>")
    yield from (
        f"      {mount['mountPath']} from {mount['name']} ({'ro' if mount.get('readOnly') else 'rw'})"
        for mount in mounts
    )


def _port(port: JsonObject, field: str) -> str:
    name = f" ({port['name']})" if port.get("name") and field == "containerPort" else ""
    return f"{port.get(field, 0)}/{port.get('protocol', 'TCP')}{name}"


def _environment(one: JsonObject) -> Iterator[str]:
    variables = one.get("env") or ()
    yield "    Environment:" + ("" if variables else "\t<none>")
    for variable in variables:
        source = variable.get("valueFrom") or {}
        if "fieldRef" in source:
            shown = f" ({source['fieldRef'].get('apiVersion', 'v1')}:{source['fieldRef']['fieldPath']})"
        elif "secretKeyRef" in source or "configMapKeyRef" in source:
            kind, chosen = (
                ("secret", source["secretKeyRef"])
                if "secretKeyRef" in source
                else ("config map", source["configMapKeyRef"])
            )
            shown = f"<set to the key '{chosen['key']}' in {kind} '{chosen['name']}'>\tOptional: {str(bool(chosen.get('optional'))).lower()}"
        else:
            shown = variable.get("value", "")
        yield f"      {variable['name']}:\t{shown}"


def _volumes(volumes: Sequence[JsonObject]) -> Iterator[str]:
    if not volumes:
        yield "  Volumes:\t<none>"
        return
    yield "  Volumes:"
    for volume in volumes:
        kind = next((key for key in volume if key != "name"), "")
        yield f"   {volume['name']}:"
        yield f"    Type:\t{kind[:1].upper()}{kind[1:]}"


def _tolerations(tolerations: Sequence[JsonObject]) -> Iterator[str]:
    if not tolerations:
        yield "  Tolerations:\t<none>"
        return
    for index, one in enumerate(tolerations):
        text = one.get("key", "")
        if one.get("value"):
            text += f"={one['value']}"
        if one.get("effect"):
            text += f":{one['effect']}"
        if one.get("operator") == "Exists" and not one.get("value"):
            text += " op=Exists"
        if one.get("tolerationSeconds") is not None:
            text += f" for {one['tolerationSeconds']}s"
        yield f"{'  Tolerations:' if index == 0 else ''}\t{text}"
