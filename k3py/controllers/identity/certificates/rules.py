"""What each of Kubernetes' own signers signs, and what it must not. Pure.

Source: kubernetes/pkg/apis/certificates/helpers.go and pkg/controller/certificates/{signer,approver} v1.35.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3py.jsontypes import JsonObject

API_CLIENT: Final = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT: Final = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING: Final = "kubernetes.io/kubelet-serving"
LEGACY_UNKNOWN: Final = "kubernetes.io/legacy-unknown"

_NODES: Final = "system:nodes"
_NODE_PREFIX: Final = "system:node:"
_OPTIONAL: Final = "key encipherment"


def find_fault(signer: str, request: x509.CertificateSigningRequest, usages: Sequence[str]) -> str:
    """Return why `signer` must not sign a request, "" when it may."""
    match signer:
        case "kubernetes.io/kube-apiserver-client":
            others = set(usages) - {"digital signature", _OPTIONAL, "client auth"}
            if others or "client auth" not in usages:
                return f"invalid usages for client certificate: {list(usages)}"
            return ""
        case "kubernetes.io/kube-apiserver-client-kubelet":
            return find_kubelet_client_fault(request, usages)
        case "kubernetes.io/kubelet-serving":
            return _find_kubelet_serving_fault(request, usages)
    return ""


def find_kubelet_client_fault(request: x509.CertificateSigningRequest, usages: Sequence[str]) -> str:
    """Return why a request is not one of a kubelet for itself as a client, "" when it is."""
    names = _names_of(request)
    for kind, word in (
        (x509.DNSName, "DNS"),
        (x509.RFC822Name, "email"),
        (x509.IPAddress, "IP"),
        (x509.UniformResourceIdentifier, "URI"),
    ):
        if names is not None and names.get_values_for_type(kind):
            return f"{word} subjectAltNames are not allowed"
    return _find_node_fault(request, usages, "client auth")


def _find_kubelet_serving_fault(request: x509.CertificateSigningRequest, usages: Sequence[str]) -> str:
    names = _names_of(request)
    if names is None or not (
        names.get_values_for_type(x509.DNSName) or names.get_values_for_type(x509.IPAddress)
    ):
        return "DNS or IP subjectAltName is required"
    if names.get_values_for_type(x509.RFC822Name):
        return "email subjectAltNames are not allowed"
    if names.get_values_for_type(x509.UniformResourceIdentifier):
        return "URI subjectAltNames are not allowed"
    return _find_node_fault(request, usages, "server auth")


def _find_node_fault(request: x509.CertificateSigningRequest, usages: Sequence[str], purpose: str) -> str:
    organizations = [one.value for one in request.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    if organizations != [_NODES]:
        return f"subject organization is not {_NODES}"
    if not common_name(request).startswith(_NODE_PREFIX):
        return f"subject common name does not begin with {_NODE_PREFIX}"
    if set(usages) - {_OPTIONAL} != {"digital signature", purpose}:
        return f"usages did not match [digital signature, {purpose}], with or without {_OPTIONAL}"
    return ""


def find_permissions(spec: JsonObject, request: x509.CertificateSigningRequest) -> list[tuple[str, str]]:
    """Return the subresources of which one must be granted to the requester for an automatic approval, with the sentence then written."""
    if spec.get("signerName") != KUBELET_CLIENT or find_kubelet_client_fault(
        request, spec.get("usages") or ()
    ):
        return []
    found = []
    if spec.get("username") == common_name(request):
        sentence = "Auto approving self kubelet client certificate after SubjectAccessReview."
        found.append(("selfnodeclient", sentence))
    found.append(("nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview."))
    return found


def common_name(request: x509.CertificateSigningRequest) -> str:
    """Return the subject's common name, "" when there is none."""
    found = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def _names_of(request: x509.CertificateSigningRequest) -> x509.SubjectAlternativeName | None:
    try:
        return request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
