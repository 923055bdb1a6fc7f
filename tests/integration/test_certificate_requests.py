"""A person asks for a certificate, an administrator approves, the signer issues, and the certificate lets the person in."""

from __future__ import annotations

import base64
import json
import ssl
import time
import urllib.request

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.server_process import ServerProcess

PATH = "/apis/certificates.k8s.io/v1/certificatesigningrequests"


def ask(server, certificate, method, path, body=None, content_type="application/json"):
    context = ssl.create_default_context(cafile=str(server.ca))
    context.load_cert_chain(*certificate)
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(server.url + path, data=data, method=method, headers={"Content-Type": content_type})
    with urllib.request.urlopen(request, context=context, timeout=30) as answer:
        return json.loads(answer.read())


@pytest.mark.slow
def test_from_the_request_to_the_first_use(tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = [(NameOID.ORGANIZATION_NAME, "dev"), (NameOID.COMMON_NAME, "alice")]
    name = x509.Name([x509.NameAttribute(kind, value) for kind, value in subject])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "alice.key").write_bytes(key.private_bytes(*form))
    spec = {
        "request": base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode(),
        "signerName": "kubernetes.io/kube-apiserver-client",
        "usages": ["client auth"],
        "expirationSeconds": 3600,
    }
    with ServerProcess(tmp_path) as server:
        admin = (server.admin_cert, server.admin_key)
        ask(server, admin, "POST", PATH, {"metadata": {"name": "alice"}, "spec": spec})
        approved = {"status": {"conditions": [{"type": "Approved", "status": "True", "reason": "Test"}]}}
        ask(server, admin, "PATCH", f"{PATH}/alice/approval", approved, "application/merge-patch+json")
        deadline_s = time.monotonic() + 60
        while not (issued := ask(server, admin, "GET", f"{PATH}/alice")["status"].get("certificate")):
            assert time.monotonic() < deadline_s
            time.sleep(0.1)
        (tmp_path / "alice.crt").write_bytes(base64.b64decode(issued))
        alice = (tmp_path / "alice.crt", tmp_path / "alice.key")
        review = ask(server, alice, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {})
    assert review["status"]["userInfo"]["username"] == "alice"
    assert set(review["status"]["userInfo"]["groups"]) == {"dev", "system:authenticated"}
