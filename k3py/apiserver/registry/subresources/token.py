"""serviceaccounts/token: TokenRequest makes a token that is bound to an account and maybe to a pod, secret or node.

Source: k8s.io/kubernetes/pkg/registry/core/serviceaccount/storage/token.go, pkg/serviceaccount/claims.go v1.35.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from k3py.api.fielderror import FieldError, invalid_value
from k3py.api.status import bad_request, conflict, invalid, not_found
from k3py.api.timestamps import format_time
from k3py.apiserver.interface import ObjectResult
from k3py.apiserver.registry.decoding import decode_object, settle_namespace
from k3py.apiserver.registry.options import write_options
from k3py.apiserver.registry.subresources.bodies import TOKEN_REQUEST
from k3py.storage.errors import ObjectNotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.apiserver.registry.call import Call
    from k3py.apiserver.registry.seams import TokenSigner
    from k3py.jsontypes import JsonObject

_DEFAULT_S: Final = 3600
_SHORTEST_S: Final = 600
_LONGEST_S: Final = 1 << 32
# What kubelets ask for on behalf of pods; such tokens live a year, for clients that do not reread the file.
_POD_S: Final = 3607
_EXTENDED_S: Final = 365 * 24 * 3600


class TokenHandler:
    """Answers creates of tokens.

    Args:
        signer: holds the key.
        audiences: the API's own; of tokens that ask for none.
        extends: tokens of pods live a year, for clients that do not read the file again.
        longest_s: what is asked for beyond this is shortened, with a warning; 0 = no limit.
    """

    def __init__(
        self, signer: TokenSigner, *, audiences: Sequence[str], extends: bool = True, longest_s: int = 0
    ) -> None:
        self._signer = signer
        self._audiences = tuple(audiences)
        self._extends = extends
        self._longest_s = longest_s

    async def __call__(self, call: Call) -> ObjectResult:
        """Make a token for the account that the URL names. Raises ApiError, StorageError."""
        options = write_options(call.request, "CreateOptions")
        request = decode_object(call, TOKEN_REQUEST, field_validation=options.field_validation)
        settle_namespace(call.kind, request, call.namespace)
        name = call.request.name
        own = request["metadata"].get("name") or ""
        if own and own != name:
            fault = invalid_value("metadata.name", own, f"must match the service account name: {name}")
            raise invalid(TOKEN_REQUEST.group, TOKEN_REQUEST.kind, name, [fault])
        request["metadata"]["name"] = name
        request["spec"] = request.get("spec") or {}
        if request["spec"].get("expirationSeconds") is None:
            request["spec"]["expirationSeconds"] = _DEFAULT_S
        call.services.patches.track(
            TOKEN_REQUEST,
            None,
            request,
            manager=options.field_manager,
            subresource=call.request.subresource,
            now=call.now(),
        )
        admission = call.admission_request(
            "CREATE", name=name, obj=request, old=None, dry_run=options.dry_run
        )
        await call.services.admission.admit(admission)
        account = (await call.store.get(call.namespace, name)).parsed
        spec = request["spec"]
        if not spec.get("audiences"):
            spec["audiences"] = list(self._audiences)
        _validate(spec)
        seconds = spec["expirationSeconds"]
        if self._longest_s and seconds > self._longest_s:
            call.request.warnings.append(
                f"requested expiration of {seconds} seconds shortened to {self._longest_s} seconds"
            )
            spec["expirationSeconds"] = self._longest_s
        bound = await _bind(call, spec.get("boundObjectRef"), name)
        await call.services.admission.validate(admission)
        return self._answer(call, request, account, spec, bound)

    def _answer(
        self, call: Call, request: JsonObject, account: JsonObject, spec: JsonObject, bound: JsonObject
    ) -> ObjectResult:
        now = call.services.now()
        seconds = spec["expirationSeconds"]
        issued = int(now.timestamp())
        private: JsonObject = {
            "namespace": call.namespace,
            "serviceaccount": {"name": account["metadata"]["name"], "uid": account["metadata"]["uid"]},
            **bound,
        }
        lifetime = seconds
        if (
            self._extends
            and seconds == _POD_S
            and "pod" in bound
            and set(spec["audiences"]) <= set(self._audiences)
        ):
            lifetime = min(_EXTENDED_S, self._longest_s or _EXTENDED_S)
            private["warnafter"] = issued + seconds
        claims = {
            "aud": spec["audiences"],
            "exp": issued + lifetime,
            "iat": issued,
            "iss": self._signer.issuer,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": private,
            "nbf": issued,
            "sub": f"system:serviceaccount:{call.namespace}:{account['metadata']['name']}",
        }
        metadata = {key: account["metadata"][key] for key in ("name", "namespace", "uid")}
        metadata["creationTimestamp"] = format_time(now)
        if "managedFields" in request["metadata"]:
            metadata["managedFields"] = request["metadata"]["managedFields"]
        status = {
            "token": self._signer.sign(claims),
            "expirationTimestamp": format_time(now + timedelta(seconds=seconds)),
        }
        document = {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": metadata,
            "spec": spec,
            "status": status,
        }
        return ObjectResult(kind=TOKEN_REQUEST, document=document, status_code=201)


def _validate(spec: JsonObject) -> None:
    seconds = spec["expirationSeconds"]
    errors: list[FieldError] = []
    if seconds < _SHORTEST_S:
        errors.append(
            invalid_value(
                "spec.expirationSeconds", seconds, "may not specify a duration less than 10 minutes"
            )
        )
    if seconds > _LONGEST_S:
        errors.append(
            invalid_value(
                "spec.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds"
            )
        )
    if errors:
        raise invalid("authentication.k8s.io", "TokenRequest", "", errors)


async def _bind(call: Call, reference: JsonObject | None, account: str) -> JsonObject:
    """Return the private claims about what the token is bound to."""
    if reference is None:
        return {}
    kind, version = reference.get("kind", ""), reference.get("apiVersion", "")
    name = reference.get("name", "")
    if version != "v1" or kind not in ("Pod", "Secret", "Node"):
        group, _, short = version.rpartition("/")
        raise bad_request(f"cannot bind token for object of type {group}/{short}, Kind={kind}")
    if not name:
        raise bad_request("resource name may not be empty")
    plural = f"{kind.lower()}s"
    obj = await _find(call, plural, "" if kind == "Node" else call.namespace, name)
    if obj is None:
        raise not_found("", plural, name)
    uid = obj["metadata"]["uid"]
    if reference.get("uid") and reference["uid"] != uid:
        raise conflict(
            "",
            kind,
            name,
            f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record. "
            "The object might have been deleted and then recreated",
        )
    claims: JsonObject = {kind.lower(): {"name": name, "uid": uid}}
    if kind == "Pod":
        if (obj["spec"].get("serviceAccountName") or "default") != account:
            raise bad_request(
                f'cannot bind token for serviceaccount "{account}" to pod running with different serviceaccount name.'
            )
        if node_name := obj["spec"].get("nodeName"):
            node = await _find(call, "nodes", "", node_name)
            claims["node"] = {"name": node_name}
            if node is not None:
                claims["node"]["uid"] = node["metadata"]["uid"]
    return claims


async def _find(call: Call, plural: str, namespace: str, name: str) -> JsonObject | None:
    kind = call.services.kinds.find("", "v1", plural)
    if kind is None:
        return None
    store = await call.services.storage.store_for(kind)
    try:
        return (await store.get(namespace, name)).parsed
    except ObjectNotFound:
        return None


if TYPE_CHECKING:
    from k3py.apiserver.registry.table import Handler

    def _check(one: TokenHandler) -> Handler:
        return one
