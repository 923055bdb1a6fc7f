"""Renewed certificates are taken into use for new connections, and those that stand go on: no watch is dropped."""

import asyncio
import ssl

import pytest

from k3py.cluster.node_tls import NodeTls
from k3py.pki.authority import KeyPair, LeafRequest, make_authority, make_key, sign_leaf

pytestmark = pytest.mark.timeout(60)


class Cluster:
    """Authorities, and a server on loopback that says which client certificate it sees, then echoes."""

    def __init__(self, folder):
        self.folder = folder
        self.clients = make_authority("client")
        self.server = make_authority("server")
        self.key = make_key()
        (folder / "server-ca.crt").write_bytes(self.server.certificate)
        (folder / "client-kubelet.key").write_bytes(self.key)
        self.sign("first")

    def sign(self, name):
        (self.folder / "client-kubelet.crt").write_bytes(sign_leaf(self.clients, LeafRequest(common_name=name), key=self.key))

    def context(self, authority: KeyPair):
        key = make_key()
        pem = self.folder / "serving.pem"
        pem.write_bytes(sign_leaf(authority, LeafRequest(common_name="s", names=("127.0.0.1",), usage="server"), key=key) + key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        context.load_verify_locations(cadata=self.clients.certificate.decode())
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    async def serve(self, authority):
        async def handle(reader, writer):
            subject = dict(pair for (pair,) in writer.get_extra_info("peercert")["subject"])
            writer.write(subject["commonName"].encode() + b"\n")
            while data := await reader.read(100):
                writer.write(data)
            writer.close()

        listener = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=self.context(authority))
        return listener, listener.sockets[0].getsockname()[1]


async def test_a_connection_that_stands_goes_on_and_a_new_one_shows_the_new_certificate(tmp_path):
    cluster = Cluster(tmp_path)
    listener, port = await cluster.serve(cluster.server)
    tls = NodeTls(tmp_path / "server-ca.crt", tmp_path / "client-kubelet")
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls.context)
    assert await reader.readline() == b"first\n"
    cluster.sign("second")
    tls.reload()
    writer.write(b"still here")
    assert await reader.readexactly(10) == b"still here"
    newer, other = await asyncio.open_connection("127.0.0.1", port, ssl=tls.context)
    assert await newer.readline() == b"second\n"
    writer.close()
    other.close()
    listener.close()
    await asyncio.sleep(0.01)


async def test_a_new_authority_is_trusted_once_it_was_taken_into_use(tmp_path):
    cluster = Cluster(tmp_path)
    replaced = make_authority("server", besides=cluster.server.certificate)
    listener, port = await cluster.serve(replaced)
    tls = NodeTls(tmp_path / "server-ca.crt", tmp_path / "client-kubelet")
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection("127.0.0.1", port, ssl=tls.context)
    (tmp_path / "server-ca.crt").write_bytes(replaced.certificate)
    tls.reload()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls.context)
    assert await reader.readline() == b"first\n"
    writer.close()
    listener.close()
    await asyncio.sleep(0.01)
