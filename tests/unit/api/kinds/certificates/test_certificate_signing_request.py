"""Requests for certificates: who writes which part, and what is refused (api-machinery.md §4)."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from k3py.api.kind import WriteContext
from k3py.api.kinds.certificates.certificate_signing_request import KIND
from k3py.api.object import deep_copy
from k3py.api.user import User

NOW = "2026-01-01T00:00:00Z"
STRATEGY = KIND.strategy
ALICE = User(name="alice", uid="u-1", groups=("g",), extra={"k": ("v",)})
CONTEXT = WriteContext(user=ALICE, now=NOW)
APPROVED = {"type": "Approved", "status": "True", "reason": "r"}
DENIED = {"type": "Denied", "status": "True", "reason": "r"}
FAILED = {"type": "Failed", "status": "True", "reason": "r"}


def encode(pem):
    return base64.b64encode(pem).decode()


@pytest.fixture(scope="module")
def key():
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def request_text(key):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "alice")])
    built = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return encode(built.public_bytes(Encoding.PEM))


@pytest.fixture(scope="module")
def certificate(key):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "alice")])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(start).not_valid_after(start + timedelta(days=1))
    return encode(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))


@pytest.fixture
def asked(request_text):
    return {
        "metadata": {"name": "a"},
        "spec": {"request": request_text, "signerName": "example.com/s", "usages": ["client auth"]},
        "status": {},
    }


def fields(errors):
    return [(error.path, error.reason.removeprefix("FieldValue")) for error in errors]


def with_status(obj, **status):
    return {**deep_copy(obj), "status": deep_copy(status)}


def test_who_asks_is_written_down_whatever_the_client_says(asked):
    asked["spec"] |= {"username": "root", "groups": ["system:masters"], "uid": "x", "extra": {"x": ["y"]}}
    asked["status"] = {"conditions": [APPROVED]}
    STRATEGY.prepare_create(asked, CONTEXT)
    told = {key: asked["spec"][key] for key in ("username", "uid", "groups", "extra")}
    assert told == {"username": "alice", "uid": "u-1", "groups": ["g"], "extra": {"k": ["v"]}}
    assert asked["status"] == {}
    STRATEGY.prepare_create(asked, WriteContext(user=User(name="bob"), now=NOW))
    assert not {"uid", "groups", "extra"} & asked["spec"].keys()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"request": "bm90IGEgcGVt"}, [("spec.request", "Invalid")]),
        ({"request": "%"}, [("spec.request", "Invalid")]),
        ({"usages": []}, [("spec.usages", "Required")]),
        ({"usages": ["bogus", "any", "any"]}, [("spec.usages[0]", "NotSupported"), ("spec.usages[2]", "Duplicate")]),
        ({"signerName": ""}, [("spec.signerName", "Required")]),
        ({"signerName": "nodomain"}, [("spec.signerName", "Invalid")]),
        ({"signerName": "one/x"}, [("spec.signerName", "Invalid")]),
        ({"signerName": "a.b/x/y"}, [("spec.signerName", "Invalid")]),
        ({"signerName": "kubernetes.io/legacy-unknown"}, [("spec.signerName", "Invalid")]),
        ({"expirationSeconds": 599}, [("spec.expirationSeconds", "Invalid")]),
        ({"expirationSeconds": 600}, []),
    ],
)
def test_what_is_asked_is_checked(asked, change, expected):
    asked["spec"] |= change
    assert fields(STRATEGY.validate(asked)) == expected


def test_a_decision_comes_through_approval_only(asked):
    decided = with_status(asked, conditions=[APPROVED], certificate="x")
    STRATEGY.prepare_approval_update(decided, asked, CONTEXT)
    assert decided["status"] == {
        "conditions": [{**APPROVED, "lastUpdateTime": NOW, "lastTransitionTime": NOW}]
    }
    assert STRATEGY.validate_approval_update(decided, asked) == []
    assert fields(STRATEGY.validate_status_update(decided, asked)) == [("status.conditions", "Forbidden")]
    both = with_status(asked, conditions=[APPROVED, DENIED])
    assert fields(STRATEGY.validate_approval_update(both, asked)) == [("status.conditions[1].type", "Invalid")]
    assert fields(STRATEGY.validate_approval_update(asked, decided)) == [("status.conditions", "Forbidden")]


def test_a_signer_cannot_touch_a_decision(asked):
    old = with_status(asked, conditions=[{**APPROVED, "lastUpdateTime": NOW, "lastTransitionTime": NOW}])
    new = with_status(asked, conditions=[{**APPROVED, "reason": "other"}, FAILED])
    STRATEGY.prepare_status_update(new, old, CONTEXT)
    assert new["status"]["conditions"][0] == old["status"]["conditions"][0]
    assert new["status"]["conditions"][1]["lastTransitionTime"] == NOW
    assert STRATEGY.validate_status_update(new, old) == []


def test_a_certificate_is_issued_once_and_never_shown_in_errors(asked, certificate, request_text):
    issued = with_status(asked, certificate=certificate)
    assert STRATEGY.validate_status_update(issued, asked) == []
    changed = with_status(asked, certificate=request_text)
    errors = STRATEGY.validate_status_update(changed, issued)
    assert fields(errors) == [("status.certificate", "Invalid"), ("status.certificate", "Forbidden")]
    assert request_text not in "".join(map(str, errors))
    assert fields(STRATEGY.validate_update(issued, asked)) == [("status.certificate", "Forbidden")]


@pytest.mark.parametrize(
    ("status", "text"),
    [
        ({}, "Pending"),
        ({"conditions": [APPROVED]}, "Approved"),
        ({"conditions": [DENIED]}, "Denied"),
        ({"conditions": [APPROVED, FAILED]}, "Approved,Failed"),
        ({"conditions": [APPROVED], "certificate": "x"}, "Approved,Issued"),
    ],
)
def test_the_table_tells_how_far_it_is(asked, status, text):
    asked["spec"]["expirationSeconds"] = 3600
    now = datetime(2026, 1, 1, tzinfo=UTC)
    cells = {one.name: one.value({**asked, "status": status}, now) for one in KIND.columns}
    assert (cells["Condition"], cells["RequestedDuration"]) == (text, "60m")
