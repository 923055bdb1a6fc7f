"""Changed files of issuers and authorizers are taken up by a running server; broken ones are not."""

import asyncio
import os
from base64 import urlsafe_b64encode

import orjson
import pytest

from k3py.api.status import ApiError
from k3py.api.user import User
from k3py.apiserver import access_reload
from k3py.apiserver.access_settings import load_access_settings
from k3py.apiserver.assembly import ApiOptions
from k3py.apiserver.interface import Attributes, Credentials
from k3py.config.api_server_arguments import parse_api_server_arguments
from k3py.util.metrics import Registry
from tests.support.api import run_api

REQUEST = Attributes(user=User(name="alice"), verb="get", resource="pods")


def authorization(*modes):
    entries = "".join(f"\n- {{type: {mode}, name: a{number}}}" for number, mode in enumerate(modes))
    return f"apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers:{entries}\n"


def authentication(*issuers):
    entries = "".join(
        f"\n- issuer: {{url: {url}, audiences: [a]}}\n  claimMappings: {{username: {{claim: sub, prefix: x}}}}" for url in issuers
    )
    return f"apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:{entries or ' []'}\n"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(access_reload, "QUIET_S", 0.01)


async def until(condition):
    async with asyncio.timeout(30):
        while not await condition():
            await asyncio.sleep(0.01)


def replace(file, text):
    """As editors and volumes of ConfigMaps do it."""
    new = file.with_suffix(".new")
    new.write_text(text)
    os.replace(new, file)


async def test_authorizers_change_and_a_broken_file_changes_nothing(tmp_path, caplog):
    file = tmp_path / "authorization.yaml"
    file.write_text(authorization("AlwaysDeny"))
    access = load_access_settings(parse_api_server_arguments([f"authorization-config={file}"]))
    metrics = Registry()
    async with run_api(options=ApiOptions(access=access), metrics=metrics) as api:

        async def allowed():
            return (await api.assembly.authorizer.authorize(REQUEST)).allowed

        async def failed():
            return 'authorization_config_controller_automatic_reloads_total{status="failure"} 1' in metrics.to_text()

        assert not await allowed()
        replace(file, authorization("RBAC", "AlwaysAllow"))
        await until(allowed)
        file.write_text(authorization("Nobody"))
        await until(failed)
        assert await allowed()
        assert "the one before stays in force" in caplog.text
        file.write_text(authorization("AlwaysDeny"))

        async def refused():
            return not await allowed()

        await until(refused)
        assert 'reloads_total{status="success"} 2' in metrics.to_text()


async def test_what_changed_while_the_server_started_is_taken_up(tmp_path):
    file = tmp_path / "authorization.yaml"
    file.write_text(authorization("AlwaysDeny"))
    access = load_access_settings(parse_api_server_arguments([f"authorization-config={file}"]))
    file.write_text(authorization("AlwaysAllow"))
    async with run_api(options=ApiOptions(access=access)) as api:

        async def allowed():
            return (await api.assembly.authorizer.authorize(REQUEST)).allowed

        await until(allowed)


async def test_issuers_change(tmp_path):
    file = tmp_path / "authentication.yaml"
    file.write_text(authentication())
    access = load_access_settings(parse_api_server_arguments([f"authentication-config={file}"]))
    issuer = "https://127.0.0.1:1"  # where nobody listens
    parts = ({"alg": "RS256"}, {"iss": issuer}, "signature")
    token = ".".join(urlsafe_b64encode(orjson.dumps(part)).decode().rstrip("=") for part in parts)
    async with run_api(options=ApiOptions(access=access)) as api:
        assert await api.assembly.authenticator.authenticate(Credentials(bearer=token)) is None
        replace(file, authentication(issuer))

        async def known():
            try:
                return await api.assembly.authenticator.authenticate(Credentials(bearer=token)) is not None
            except ApiError as error:
                return error.code == 401  # whose keys cannot be had

        await until(known)
