"""Joins a cluster: checks the server's CA against the token, and only then shows the token and asks for certificates (J-10 to J-15).

Keys are made here and never leave; the server signs. What was got lies in <data-dir>/agent, so that an agent that has joined once starts
without its server.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import aiohttp
import orjson

from k3py.agent.errors import JoinRefused, ServerUnreachable, TokenRefused, WrongAuthority
from k3py.client.kubeconfig import Kubeconfig, write_kubeconfig
from k3py.cluster.bootstrap_token import is_bootstrap_token
from k3py.cluster.token import hash_ca, is_pinned_by, parse_token
from k3py.pki.signing_requests import answer, ask, make_apart, read_answer
from k3py.pki.tls import ignore_dates
from k3py.util.files import write_atomically
from k3py.util.own_command import find_command

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from k3py.cluster.load_balancer import LoadBalancer
    from k3py.cluster.token import JoinToken
    from k3py.jsontypes import JsonObject

_LOG: Final = logging.getLogger(__name__)
_CA_FILE: Final = "server-ca.crt"
_PREFIX: Final = "/v1-k3py/"
_TIMEOUT_S: Final = 10.0
_LEAVES: Final = ("serving-kubelet", "client-kubelet", "client-kube-proxy")
_NODE_IP: Final = "k3py-Node-IP"
SETTINGS_FILE: Final = "etc/server-config.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What an agent needs to run: folder of certificates, and what the server said of the cluster.

    servers: addresses of all API servers, as the one that was asked knows them.
    is_remembered: an earlier join's, as the server does not answer.
    """

    folder: Path
    settings: JsonObject
    servers: tuple[str, ...] = ()
    is_remembered: bool = False


class Joiner:
    """Asks one server.

    Args:
        server: the URL that the agent was told. balancer: the way to it and to the others, None = straight.
        token: in either form. folder: <data-dir>/agent.
        node_name, node_ip: of this node. node_password: this machine's secret (J-50).
    """

    def __init__(
        self,
        *,
        server: str,
        token: str,
        folder: Path,
        node_name: str,
        node_ip: str,
        node_password: str,
        balancer: LoadBalancer | None = None,
    ) -> None:
        self._server = server
        self._balancer = balancer
        self._url = balancer.url if balancer is not None else server
        self._token = parse_token(token)
        self._folder = folder
        self._headers = {
            "k3py-Node-Name": node_name,
            "k3py-Node-Password": node_password,
            _NODE_IP: node_ip,
        }
        self._node_name = node_name

    @property
    def node_ip(self) -> str:
        """The address that the next serving certificate is for."""
        return self._headers[_NODE_IP]

    @node_ip.setter
    def node_ip(self, text: str) -> None:
        self._headers[_NODE_IP] = text

    async def join(self) -> Joined:
        """Get certificates and settings; a token that counts no longer is made up for by a certificate of before.

        Raises:
            WrongAuthority: the CA is not the token's.
            JoinRefused: wrong token, or the name is another machine's.
            ServerUnreachable: try again.
        """
        ca = await self._fetch_ca()
        token = {"Authorization": _authorization(self._token)}
        try:
            return await self._get(ca, token)
        except TokenRefused:
            if not (self._folder / "client-kubelet.crt").exists():
                raise
            _LOG.warning("the token is not accepted, joining with the certificate of before")
            return await self._get(ca, {}, by_certificate=True)

    async def renew(self) -> Joined:
        """Get new certificates while the node runs, by the one that it has, else by the token; the known authority vouches for the server.

        Raises:
            JoinRefused, ServerUnreachable: as `join`.
        """
        ca = await asyncio.to_thread((self._folder / _CA_FILE).read_bytes)
        try:
            return await self._get(ca, {}, by_certificate=True)
        except TokenRefused:
            return await self._get(ca, {"Authorization": _authorization(self._token)})

    async def _get(self, ca: bytes, headers: Mapping[str, str], *, by_certificate: bool = False) -> Joined:
        context = ssl.create_default_context(cadata=ca.decode())
        ignore_dates(context)  # the token's hash vouches for the authority, and the server proves its key
        if by_certificate:
            folder = self._folder
            context.load_cert_chain(folder / "client-kubelet.crt", folder / "client-kubelet.key")
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S)) as session:
            ca = await self._request(session, "GET", "server-ca.crt", context, headers)
            client_ca = await self._request(session, "GET", "client-ca.crt", context, headers)
            settings = await self._request(session, "GET", "config", context, headers)
            servers = await self._request(session, "GET", "apiservers", context, headers)
            signed = {}
            for name, body in (await self._requests()).items():
                signed[name] = await self._request(
                    session, "POST", f"{name}.crt", context, {**headers, **self._headers}, body
                )
        await asyncio.to_thread(self._write, ca, client_ca, settings, signed)
        return Joined(
            folder=self._folder, settings=orjson.loads(settings), servers=tuple(orjson.loads(servers))
        )

    async def _fetch_ca(self) -> bytes:
        """Get the CA without trusting anybody, and check it; no credential is sent."""
        blind = ssl.create_default_context()
        blind.check_hostname = False
        blind.verify_mode = ssl.CERT_NONE
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S)) as session:
            ca = await self._request(session, "GET", "", blind, {}, path="/cacerts")
        if self._token.ca_hash and not is_pinned_by(ca, self._token.ca_hash):
            raise WrongAuthority(
                f"--token: is for another cluster than {self._server}: the server's CA has the hash {hash_ca(ca)}, "
                f"the token's is {self._token.ca_hash}; nothing was sent to the server"
            )
        return ca

    async def _request(
        self,
        session: aiohttp.ClientSession,
        method: str,
        name: str,
        context: ssl.SSLContext,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        path: str = "",
    ) -> bytes:
        url = self._url + (path or _PREFIX + name)
        try:
            async with session.request(method, url, ssl=context, headers=headers, data=body) as response:
                answer = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            why = self._balancer.fault if self._balancer is not None else ""
            why = why or f"{type(error).__name__}: {error}"
            raise ServerUnreachable(f"{self._server}: {why}") from error
        if response.status == 200:
            return answer
        text = answer.decode(errors="replace").strip()
        if response.status == 401:
            raise TokenRefused(f"--token: the server {self._server} does not accept it")
        if 400 <= response.status < 500 and response.status != 429:
            raise JoinRefused(f"the server {self._server} refuses: {text}")
        raise ServerUnreachable(f"{self._server}: {response.status}: {text}")

    async def _requests(self) -> dict[str, bytes]:
        """Return signing requests for all leaves; keys that are missing are made and written."""
        keys = await asyncio.to_thread(self._read_keys)
        command = find_command("agent", "signing-requests")
        if command:
            made = await make_apart(command, keys, self._node_name)
        else:  # not started by a command line
            text = await asyncio.to_thread(answer, ask(keys, self._node_name))
            made = read_answer(text)
        await asyncio.to_thread(
            self._write_keys, {name: key for name, (key, _) in made.items() if not keys[name]}
        )
        return {name: request for name, (_, request) in made.items()}

    def _read_keys(self) -> dict[str, bytes]:
        files = {name: self._folder / f"{name}.key" for name in _LEAVES}
        return {name: file.read_bytes() if file.exists() else b"" for name, file in files.items()}

    def _write_keys(self, keys: Mapping[str, bytes]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for name, key in keys.items():
            write_atomically(self._folder / f"{name}.key", key, mode=0o600)

    def _write(self, ca: bytes, client_ca: bytes, settings: bytes, signed: Mapping[str, bytes]) -> None:
        (self._folder / "etc").mkdir(parents=True, exist_ok=True)
        write_atomically(self._folder / _CA_FILE, ca, mode=0o644)
        write_atomically(self._folder / "client-ca.crt", client_ca, mode=0o644)
        for name, certificate in signed.items():
            write_atomically(self._folder / f"{name}.crt", certificate, mode=0o644)
        # For people and scripts on the machine; the node's own client does not read it.
        identity = Kubeconfig(
            server=self._url,
            ca=ca,
            certificate_file=self._folder / "client-kubelet.crt",
            key_file=self._folder / "client-kubelet.key",
        )
        write_kubeconfig(self._folder / "kubelet.kubeconfig", identity, name=f"system:node:{self._node_name}")
        write_atomically(self._folder / SETTINGS_FILE, settings, mode=0o600)  # last: all else is there


def find_joined(folder: Path) -> Joined | None:
    """Return what an earlier join left, None when there was none. Blocking."""
    file = folder / SETTINGS_FILE
    if not file.exists():
        return None
    return Joined(folder=folder, settings=orjson.loads(file.read_bytes()), is_remembered=True)


def _authorization(token: JoinToken) -> str:
    if not token.user and is_bootstrap_token(token.password):
        return f"Bearer {token.password}"
    user = token.user or "node"
    if user == "server":
        user = "node"  # the server's token lets agents in, too (J-07); as a node they may do less
    encoded = base64.b64encode(f"{user}:{token.password}".encode()).decode()
    return f"Basic {encoded}"
