"""How long requested tokens live: as asked, longer for pods, never beyond what the operator allows."""

import jwt
import pytest

from k3py.apiserver.assembly import ApiOptions
from k3py.pki.service_account import ServiceAccountKeys, make_service_account_key
from tests.support.api import run_api

ISSUER = "https://kubernetes.default.svc.cluster.local"
KEYS = ServiceAccountKeys(make_service_account_key(), issuer=ISSUER)
YEAR_S = 365 * 24 * 3600
POD = {"spec": {"serviceAccountName": "a", "containers": [{"name": "c", "image": "i"}]}, "metadata": {"name": "p"}}


@pytest.mark.parametrize(
    ("options", "asked_s", "told_s", "lives_s", "warns"),
    [
        ({}, 7200, 7200, 7200, False),
        ({}, 3607, 3607, YEAR_S, False),
        ({"extends_tokens": False}, 3607, 3607, 3607, False),
        ({"longest_token_s": 5000}, 7200, 5000, 5000, True),
        ({"longest_token_s": 5000}, 3607, 3607, 5000, False),
    ],
)
async def test_lives(options, asked_s, told_s, lives_s, warns):
    async with run_api(signer=KEYS, verifier=KEYS, options=ApiOptions(**options)) as api:
        await api.send("create", "serviceaccounts", body={"metadata": {"name": "a"}})
        await api.send("create", "pods", body=POD)
        warnings = []
        bound = {"kind": "Pod", "apiVersion": "v1", "name": "p"}
        body = {"spec": {"expirationSeconds": asked_s, "boundObjectRef": bound}}
        made = await api.send("create", "serviceaccounts", "a", body, sub="token", warnings=warnings)
    claims = jwt.decode(made["status"]["token"], options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == lives_s
    assert made["spec"]["expirationSeconds"] == told_s
    assert bool(warnings) is warns
