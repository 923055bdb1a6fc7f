import pytest

from k3py.api.status import ApiError
from k3py.apiserver.interface import Credentials
from k3py.controllers.identity.account_tokens import TYPE, legacy_claims
from k3py.pki.service_account import ServiceAccountKeys, make_service_account_key
from k3py.util import clock
from tests.support.api import run_api

ISSUER = "https://kubernetes.default.svc.cluster.local"
KEYS = ServiceAccountKeys(make_service_account_key(), issuer=ISSUER)


@pytest.fixture
async def api():
    async with run_api(signer=KEYS, verifier=KEYS) as api:
        await api.send("create", "serviceaccounts", body={"metadata": {"name": "a"}})
        yield api


async def make_token(api, **spec):
    made = await api.send("create", "serviceaccounts", "a", {"spec": spec}, sub="token")
    return made["status"]["token"]


def authenticate(api, token):
    return api.assembly.authenticator.authenticate(Credentials(bearer=token))


async def test_a_requested_token_is_the_accounts_identity(api):
    user = await authenticate(api, await make_token(api))
    assert user.name == "system:serviceaccount:default:a"
    assert set(user.groups) == {
        "system:serviceaccounts",
        "system:serviceaccounts:default",
        "system:authenticated",
    }


async def test_the_token_ends_with_the_account_and_a_namesake_does_not_revive_it(api):
    token = await make_token(api)
    await api.send("delete", "serviceaccounts", "a")
    with pytest.raises(ApiError) as caught:
        await authenticate(api, token)
    assert caught.value.code == 401
    await api.send("create", "serviceaccounts", body={"metadata": {"name": "a"}})
    with pytest.raises(ApiError):
        await authenticate(api, token)


async def test_a_token_for_somebody_else_is_refused(api):
    token = await make_token(api, audiences=["vault"])
    with pytest.raises(ApiError) as caught:
        await authenticate(api, token)
    assert caught.value.code == 401


async def test_a_bound_token_ends_with_its_pod(api):
    pod = {
        "metadata": {"name": "p"},
        "spec": {"serviceAccountName": "a", "containers": [{"name": "c", "image": "i"}]},
    }
    await api.send("create", "pods", body=pod)
    reference = {"kind": "Pod", "apiVersion": "v1", "name": "p"}
    token = await make_token(api, boundObjectRef=reference)
    user = await authenticate(api, token)
    assert user.extra["authentication.kubernetes.io/pod-name"] == ("p",)
    await api.send("delete", "pods", "p", {"gracePeriodSeconds": 0})
    with pytest.raises(ApiError):
        await authenticate(api, token)


async def test_other_peoples_tokens_are_left_to_others(api):
    assert await authenticate(api, "abcdef.0123456789abcdef") is None
    assert await authenticate(api, "") is None


async def test_a_token_review_says_whose_token_it_is(api):
    token = await make_token(api)
    review = await api.send("create", "tokenreviews", body={"spec": {"token": token}})
    assert review["status"]["authenticated"] is True
    assert review["status"]["user"]["username"] == "system:serviceaccount:default:a"
    wrong = await api.send("create", "tokenreviews", body={"spec": {"token": token, "audiences": ["x"]}})
    assert "authenticated" not in wrong["status"]


async def test_too_short_a_life_and_a_missing_pod_are_refused(api):
    with pytest.raises(ApiError) as caught:
        await make_token(api, expirationSeconds=10)
    assert caught.value.code == 422
    with pytest.raises(ApiError) as caught:
        await make_token(api, boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "none"})
    assert caught.value.code == 404


async def make_legacy_token(api, **changes):
    account = await api.send("get", "serviceaccounts", "a")
    token = KEYS.sign(legacy_claims(account, "t") | changes)
    metadata = {"name": "t", "annotations": {"kubernetes.io/service-account.name": "a"}}
    secret = {"metadata": metadata, "type": TYPE, "stringData": {"token": token}}
    await api.send("create", "secrets", body=secret)
    return token


async def test_a_token_in_a_secret_is_the_accounts_identity(api):
    user = await authenticate(api, await make_legacy_token(api))
    assert user.name == "system:serviceaccount:default:a"
    noted = await api.send("get", "secrets", "t")
    assert noted["metadata"]["labels"]["kubernetes.io/legacy-token-last-used"] == clock.now().strftime("%Y-%m-%d")


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": "system:serviceaccount:default:b"},
        {"kubernetes.io/serviceaccount/service-account.uid": "of another"},
        {"kubernetes.io/serviceaccount/secret.name": "other"},
        {"kubernetes.io/serviceaccount/namespace": "kube-system"},
        {"iss": ISSUER},
    ],
)
async def test_a_token_that_its_secret_does_not_bear_out_is_refused(api, changes):
    with pytest.raises(ApiError) as caught:
        await authenticate(api, await make_legacy_token(api, **changes))
    assert caught.value.code == 401


@pytest.mark.parametrize(
    "patch",
    [
        {"data": {"token": None}},
        {"metadata": {"labels": {"kubernetes.io/legacy-token-invalid-since": "2026-01-01"}}},
        None,
    ],
)
async def test_a_token_ends_when_its_secret_is_emptied_marked_or_gone(api, patch):
    token = await make_legacy_token(api)
    if patch is None:
        await api.send("delete", "secrets", "t")
    else:
        await api.send("patch", "secrets", "t", patch, patch_type="application/merge-patch+json")
    with pytest.raises(ApiError) as caught:
        await authenticate(api, token)
    assert caught.value.code == 401
