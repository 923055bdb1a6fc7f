"""Files of spec/k3s.md §3.2: made once, kept, renewed when due (L-20 to L-28, J-85, J-86)."""

import datetime as dt
import stat

import pytest
from cryptography import x509

from k3py.pki.authority import LeafRequest
from k3py.pki.errors import PkiError
from k3py.pki.layout import Leaf, etcd_leaves, node_leaves, pki_paths, server_leaves
from k3py.pki.provision import ensure_authorities, ensure_leaves
from k3py.util import clock


def provision(tmp_path, names=("192.0.2.1",)):
    paths = pki_paths(tmp_path)
    authorities = ensure_authorities(paths)
    leaves = server_leaves(paths, names=names, service_ip="10.43.0.1", cluster_domain="cluster.local")
    leaves += node_leaves(paths, node_name="n1", names=names)
    return authorities, leaves, ensure_leaves(authorities, leaves)


def test_all_files_are_made_with_their_modes_and_a_second_run_changes_nothing(tmp_path):
    _, leaves, written = provision(tmp_path)
    assert [one.path for one in written] == [one.path for one in leaves]
    for leaf in leaves:
        assert stat.S_IMODE(leaf.key.stat().st_mode) == 0o600
    tls = tmp_path / "server" / "tls"
    assert stat.S_IMODE((tls / "service.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(tls.stat().st_mode) == 0o700
    assert provision(tmp_path)[2] == []


def test_admin_certificate_names_user_and_group(tmp_path):
    provision(tmp_path)
    pem = (tmp_path / "server/tls/client-admin.crt").read_bytes()
    assert x509.load_pem_x509_certificate(pem).subject.rfc4514_string() == "CN=system:admin,O=system:masters"


def test_a_new_address_renews_the_serving_certificate_with_the_same_key(tmp_path):
    _, _, _ = provision(tmp_path)
    key = (tmp_path / "server/tls/serving-kube-apiserver.key").read_bytes()
    _, _, written = provision(tmp_path, names=("192.0.2.1", "192.0.2.9"))
    assert {one.path.name for one in written} == {"serving-kube-apiserver", "serving-kubelet"}
    assert (tmp_path / "server/tls/serving-kube-apiserver.key").read_bytes() == key


def test_a_leaf_within_120_days_of_its_end_is_renewed(tmp_path, monkeypatch):
    authorities, _, _ = provision(tmp_path)
    leaf = Leaf(
        path=tmp_path / "short", authority="client-ca", request=LeafRequest(common_name="x", days=200)
    )
    assert ensure_leaves(authorities, [leaf]) == [leaf]
    assert ensure_leaves(authorities, [leaf]) == []
    later = clock.now() + dt.timedelta(days=90)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert ensure_leaves(authorities, [leaf]) == [leaf]


def test_half_an_authority_is_an_error_that_names_the_missing_file(tmp_path):
    provision(tmp_path)
    (tmp_path / "server/tls/client-ca.key").unlink()
    with pytest.raises(PkiError, match=r"client-ca\.key: is missing"):
        provision(tmp_path)


def test_the_leaves_of_etcd_are_signed_by_its_own_authorities(tmp_path):
    paths = pki_paths(tmp_path)
    leaves = etcd_leaves(paths, names=("n1", "192.0.2.1"))
    ensure_leaves(ensure_authorities(paths), leaves)
    names = {}
    for leaf in leaves:
        certificate = x509.load_pem_x509_certificate(leaf.certificate.read_bytes())
        issuer = x509.load_pem_x509_certificate(paths.authority(leaf.authority).read_bytes())
        certificate.verify_directly_issued_by(issuer)
        assert issuer.subject.rfc4514_string().startswith({"etcd/server-ca": "CN=etcd-server-ca@", "etcd/peer-ca": "CN=etcd-peer-ca@"}[leaf.authority])
        assert leaf.key.stat().st_mode & 0o777 == 0o600
        found = [one.value for one in certificate.extensions if isinstance(one.value, x509.SubjectAlternativeName)]
        names[leaf.path.name] = bool(found)
    assert names == {"client": False, "server-client": True, "peer-server-client": True}
    assert (tmp_path / "server/tls/etcd").stat().st_mode & 0o777 == 0o700
