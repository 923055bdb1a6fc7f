import base64

import pytest

from k3py.apiserver.interface import Credentials
from tests.support.api import run_api

TOKEN = "abcdef.0123456789abcdef"


def secret(**data):
    values = {
        "token-id": "abcdef",
        "token-secret": "0123456789abcdef",
        "usage-bootstrap-authentication": "true",
        "auth-extra-groups": "system:bootstrappers:x",
        **data,
    }
    return {
        "metadata": {"name": "bootstrap-token-abcdef"},
        "type": "bootstrap.kubernetes.io/token",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
    }


@pytest.fixture
async def api():
    async with run_api() as api:
        await api.send("create", "namespaces", body={"metadata": {"name": "kube-system"}})
        yield api


async def test_a_token_of_kube_system_is_a_bootstrapper(api):
    await api.send("create", "secrets", body=secret(), namespace="kube-system")
    user = await api.assembly.authenticator.authenticate(Credentials(bearer=TOKEN))
    assert user.name == "system:bootstrap:abcdef"
    assert user.groups == ("system:bootstrappers", "system:bootstrappers:x", "system:authenticated")


@pytest.mark.parametrize(
    "data",
    [
        {"token-secret": "0000000000000000"},
        {"usage-bootstrap-authentication": "false"},
        {"expiration": "2001-01-01T00:00:00Z"},
        {"expiration": "nonsense"},
    ],
)
async def test_wrong_expired_or_unfit_ones_are_nobody(api, data):
    await api.send("create", "secrets", body=secret(**data), namespace="kube-system")
    assert await api.assembly.authenticator.authenticate(Credentials(bearer=TOKEN)) is None
