"""Only approved requests are signed, only by the signer's rules, and never for longer than was asked."""

import base64
import datetime as dt

import pytest
from cryptography import x509

from k3py.api.resource import CERTIFICATE_SIGNING_REQUESTS
from k3py.controllers.identity.certificates import signing
from k3py.pki.authority import make_authority
from tests.support.controllers import World
from tests.unit.controllers.identity.certificates.requests import make_csr, make_object

SERVING = "kubernetes.io/kubelet-serving"
SERVING_USAGES = ("digital signature", "server auth")


async def _answer(**settings):
    """Let the controller see a request; return its status, and the authorities."""
    authorities = {"client-ca": make_authority("client"), "server-ca": make_authority("server")}
    world = World(authorities=authorities)
    csr = settings.pop("csr", None) or make_csr("alice", "dev")
    world.client.seed(CERTIFICATE_SIGNING_REQUESTS, make_object(csr, **settings))
    async with world.running(signing.build):
        await world.settle()
    return world.client.objects(CERTIFICATE_SIGNING_REQUESTS)[0]["status"], authorities


def _leaf(status):
    return x509.load_pem_x509_certificate(base64.b64decode(status["certificate"]))


async def test_an_approved_client_gets_what_it_asked_for_from_the_authority_of_clients():
    status, authorities = await _answer(conditions=["Approved"], expiration_s=3600)
    leaf = _leaf(status)
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(authorities["client-ca"].certificate))
    assert leaf.subject.rfc4514_string() == "CN=alice,O=dev"
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == dt.timedelta(
        seconds=3900
    )  # backdated by 5 min
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


async def test_nobody_gets_more_than_a_year():
    status, _ = await _answer(conditions=["Approved"], expiration_s=10**8)
    assert _leaf(status).not_valid_after_utc - _leaf(status).not_valid_before_utc == dt.timedelta(days=365)


@pytest.mark.parametrize("conditions", [[], ["Denied"], ["Approved", "Failed"]])
async def test_what_is_not_approved_stays_unsigned(conditions):
    status, _ = await _answer(conditions=conditions)
    assert "certificate" not in status
    assert len(status["conditions"]) == len(conditions)


async def test_requests_to_other_signers_are_theirs():
    status, _ = await _answer(conditions=["Approved"], signer="example.com/s")
    assert "certificate" not in status
    assert len(status["conditions"]) == 1


NODE = ("system:node:a", "system:nodes")
IP = x509.DNSName("a")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"usages": ("client auth", "server auth")}, "invalid usages"),
        ({"usages": ("digital signature",)}, "invalid usages"),
        ({"signer": "kubernetes.io/kube-apiserver-client-kubelet"}, "organization"),
        (
            {"signer": "kubernetes.io/kube-apiserver-client-kubelet", "csr": make_csr("eve", "system:nodes")},
            "common name",
        ),
        (
            {"signer": "kubernetes.io/kube-apiserver-client-kubelet", "csr": make_csr(*NODE, names=[IP])},
            "DNS",
        ),
        ({"signer": SERVING, "usages": SERVING_USAGES, "csr": make_csr(*NODE)}, "DNS or IP"),
        ({"signer": SERVING, "csr": make_csr(*NODE, names=[IP])}, "usages"),
        (
            {
                "signer": SERVING,
                "usages": SERVING_USAGES,
                "csr": make_csr(*NODE, names=[IP, x509.RFC822Name("a@b.c")]),
            },
            "email",
        ),
    ],
)
async def test_requests_against_a_signers_rules_fail_and_say_why(settings, message):
    status, _ = await _answer(conditions=["Approved"], **settings)
    failed = status["conditions"][-1]
    assert (failed["type"], failed["reason"]) == ("Failed", "SignerValidationFailure")
    assert message in failed["message"]
    assert "certificate" not in status


async def test_a_kubelet_gets_its_serving_certificate_from_the_authority_of_servers():
    csr = make_csr(*NODE, names=[IP])
    status, authorities = await _answer(
        conditions=["Approved"], signer=SERVING, usages=SERVING_USAGES, csr=csr
    )
    leaf = _leaf(status)
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(authorities["server-ca"].certificate))
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a"]
