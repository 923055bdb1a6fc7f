import ssl
import stat

import pytest
import yaml

from k3py.client.errors import KubeconfigError
from k3py.client.kubeconfig import Kubeconfig, load_kubeconfig, write_kubeconfig
from k3py.pki.authority import LeafRequest, make_authority, make_key, sign_leaf


def test_written_file_is_private_and_reads_back(tmp_path):
    path = tmp_path / "admin.conf"
    config = Kubeconfig(server="https://127.0.0.1:6443", ca=b"CA", certificate=b"CERT", key=b"KEY", token="t")
    write_kubeconfig(path, config)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_kubeconfig(path) == config
    document = yaml.safe_load(path.read_text())
    assert document["current-context"] == "default"
    assert document["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:6443"


def test_relative_files_are_relative_to_the_kubeconfig(tmp_path):
    (tmp_path / "ca.pem").write_bytes(b"CA")
    (tmp_path / "config").write_text(
        """
apiVersion: v1
kind: Config
current-context: one
contexts: [{name: one, context: {cluster: c, user: u, namespace: shop}}, {name: two, context: {cluster: c, user: v}}]
clusters: [{name: c, cluster: {server: "https://x:6443", certificate-authority: ca.pem}}]
users: [{name: u, user: {client-certificate: u.crt, client-key: u.key}}, {name: v, user: {tokenFile: tok}}]
"""
    )
    one = load_kubeconfig(tmp_path / "config")
    assert (one.ca, one.certificate_file, one.namespace) == (b"CA", tmp_path / "u.crt", "shop")
    (tmp_path / "tok").write_text("fresh\n")
    two = load_kubeconfig(tmp_path / "config", context="two")
    assert two._token_source()() == "fresh"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (": [", "not YAML"),
        ("{}", "current-context"),
        ("{current-context: a}", "'a'"),
        ("[1]", "config"),
    ],
)
def test_bad_file_is_named_with_what_is_wrong(tmp_path, text, message):
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(KubeconfigError, match=message):
        load_kubeconfig(path)
    with pytest.raises(KubeconfigError, match="No such file"):
        load_kubeconfig(tmp_path / "none")


def test_inline_client_certificate_is_loaded_without_a_file(tmp_path):
    authority = make_authority("test")
    key = make_key()
    leaf = sign_leaf(authority, LeafRequest(common_name="me", organizations=("o",)), key=key)
    config = Kubeconfig(server="https://x", ca=authority.certificate, certificate=leaf, key=key)
    context = config.make_tls()
    assert context.verify_mode is ssl.CERT_REQUIRED
    with pytest.raises(KubeconfigError):
        Kubeconfig(server="https://x", certificate=b"rubbish", key=b"rubbish").make_tls()
