"""Leaves, authorities and keys of tokens are replaced without losing what still has to be believed."""

import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from k3py.cluster.token import hash_ca, is_pinned_by
from k3py.pki.authority import LeafRequest, make_authority, make_key, sign_leaf
from k3py.pki.chain import find_root
from k3py.pki.errors import PkiError
from k3py.pki.inventory import list_certificates
from k3py.pki.layout import AUTHORITIES, etcd_leaves, pki_paths, server_leaves
from k3py.pki.provision import ensure_authorities, ensure_leaves
from k3py.pki.rotation import (
    SERVICES,
    install_authorities,
    make_new_authorities,
    read_new_authorities,
    rotate_leaves,
    rotate_service_account_key,
)
from k3py.pki.service_account import ServiceAccountKeys
from k3py.util import clock


def provision(tmp_path):
    paths = pki_paths(tmp_path)
    authorities = ensure_authorities(paths)
    leaves = server_leaves(paths, names=("192.0.2.1",), service_ip="10.43.0.1", cluster_domain="cluster.local")
    return paths, [one.path.name for one in ensure_leaves(authorities, leaves)]


def sign(name, key, issuer_name, issuer_key, *, ca=True):
    now = clock.now()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer_name or subject)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now.replace(year=now.year + 5))
    builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    return builder.sign(issuer_key or key, hashes.SHA256())


def pem(*things):
    made = b""
    for one in things:
        if isinstance(one, x509.Certificate):
            made += one.public_bytes(serialization.Encoding.PEM)
        else:
            form = serialization.PrivateFormat.TraditionalOpenSSL
            made += one.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return made


ROOT_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ROOT = sign("root", ROOT_KEY, None, None)


def write_custom(folder, *names, root=ROOT, root_key=ROOT_KEY):
    """Write authorities below a common root, with RSA and EC keys, as an operator's own PKI makes them."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(names):
        key = ec.generate_private_key(ec.SECP256R1()) if index % 2 else rsa.generate_private_key(public_exponent=65537, key_size=2048)
        authority = sign(f"our-{name}", key, root.subject, root_key)
        (folder / f"{name}.crt").parent.mkdir(exist_ok=True)
        (folder / f"{name}.crt").write_bytes(pem(authority, root))
        (folder / f"{name}.key").write_bytes(pem(key))


def test_authorities_that_lie_there_before_the_first_start_are_used(tmp_path):
    write_custom(tmp_path / "server" / "tls", *AUTHORITIES)
    paths, _ = provision(tmp_path)
    command = ["openssl", "verify", "-CAfile", str(paths.authority("server-ca")), str(paths.server_tls / "serving-kube-apiserver.crt")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert "our-server-ca" in x509.load_pem_x509_certificate((paths.server_tls / "serving-kube-apiserver.crt").read_bytes()).issuer.rfc4514_string()


def test_all_services_names_cover_all_leaves(tmp_path):
    _, names = provision(tmp_path)
    assert set(names) <= {name for service in SERVICES.values() for name in service}


def test_rotated_leaves_get_new_keys_at_the_next_start_and_others_stay(tmp_path):
    paths, _ = provision(tmp_path)
    before = {file.name: file.read_bytes() for file in paths.server_tls.glob("*.key")}
    assert rotate_leaves(paths, ["admin"]) == ["client-admin"]
    _, written = provision(tmp_path)
    assert written == ["client-admin"]
    after = {file.name: file.read_bytes() for file in paths.server_tls.glob("*.key")}
    assert {name for name in before if before[name] != after[name]} == {"client-admin.key"}
    [kept] = (tmp_path / "server").glob("tls-*")
    assert (kept / "tls" / "client-admin.key").read_bytes() == before["client-admin.key"]
    assert kept.stat().st_mode & 0o777 == 0o700


def test_tokens_of_the_old_key_stay_valid(tmp_path):
    paths, _ = provision(tmp_path)
    claims = {"iss": "i", "aud": "a", "sub": "s", "iat": 1, "exp": 4e9}
    old = ServiceAccountKeys(paths.service_account_key.read_bytes(), issuer="i").sign(claims)
    rotate_service_account_key(paths)
    keys = ServiceAccountKeys(paths.service_account_key.read_bytes(), issuer="i")
    assert len(keys.jwks()["keys"]) == 2
    assert keys.verify(old, audiences=["a"])["sub"] == "s"
    assert keys.sign(claims).split(".")[0] != old.split(".")[0]  # by another key


def test_new_authorities_sign_all_leaves_anew(tmp_path):
    paths, names = provision(tmp_path)
    new = make_new_authorities(paths, afresh=True)
    assert set(new.disruptive) == set(AUTHORITIES)
    install_authorities(paths, new)
    assert provision(tmp_path)[1] == names


def verify(trusted, leaf, tmp_path):
    """Say whether openssl believes what a server shows (leaf first), trusting one file."""
    (tmp_path / "trusted").write_bytes(trusted)
    (tmp_path / "shown").write_bytes(leaf)
    command = ["openssl", "verify", "-CAfile", str(tmp_path / "trusted"), "-untrusted", str(tmp_path / "shown"), str(tmp_path / "shown")]
    return subprocess.run(command, capture_output=True, timeout=30).returncode == 0


def test_cross_signed_authorities_are_believed_by_those_who_know_the_old_and_those_who_know_the_new(tmp_path):
    """Nobody has to do anything: agents with the old file and token, kubeconfigs, pods."""
    paths, _ = provision(tmp_path)
    leaf_file = paths.server_tls / "serving-kube-apiserver.crt"
    files, leaves = [paths.authority("server-ca").read_bytes()], [leaf_file.read_bytes()]
    for _ in range(2):  # and once more on top
        new = make_new_authorities(paths, afresh=False)
        assert new.disruptive == ()
        install_authorities(paths, new)
        provision(tmp_path)
        files.append(paths.authority("server-ca").read_bytes())
        leaves.append(leaf_file.read_bytes())
    assert len({leaf.split(b"-----END")[0] for leaf in leaves}) == 3
    for file in files:
        assert verify(file, leaves[-1], tmp_path)
        assert is_pinned_by(file, hash_ca(files[0]))  # the token of the first day
    for leaf in leaves:
        assert verify(files[-1], leaf, tmp_path)  # certificates that were signed by older ones
    stranger = make_authority("stranger")
    assert not verify(files[-1], sign_leaf(stranger, LeafRequest(common_name="x"), key=make_key()), tmp_path)
    assert not is_pinned_by(files[-1], hash_ca(stranger.certificate))
    assert not is_pinned_by(files[-1] + stranger.certificate, hash_ca(files[0]))
    assert not is_pinned_by(stranger.certificate + files[0], hash_ca(files[0]))


def test_an_authority_below_the_same_root_locks_nobody_out(tmp_path):
    write_custom(tmp_path / "server" / "tls", *AUTHORITIES)
    paths, _ = provision(tmp_path)
    pinned = hash_ca(paths.authority("server-ca").read_bytes())
    staged = tmp_path / "staged"
    write_custom(staged, "server-ca")
    new = read_new_authorities(paths, staged)
    assert new.disruptive == ()
    install_authorities(paths, new)
    assert hash_ca(paths.authority("server-ca").read_bytes()) == pinned
    other_key = ec.generate_private_key(ec.SECP256R1())
    write_custom(staged, "server-ca", root=sign("other", other_key, None, None), root_key=other_key)
    assert read_new_authorities(paths, staged).disruptive == ("server-ca",)


def test_new_token_keys_that_forget_the_old_one_are_disruptive(tmp_path):
    paths, _ = provision(tmp_path)
    staged = tmp_path / "staged"
    staged.mkdir()
    (staged / "service.key").write_bytes(pem(ROOT_KEY))
    assert read_new_authorities(paths, staged).disruptive == ("service.key",)
    (staged / "service.key").write_bytes(pem(ROOT_KEY) + paths.service_account_key.read_bytes())
    assert read_new_authorities(paths, staged).disruptive == ()


@pytest.mark.parametrize("fault", ["leaf", "key", "missing", "empty", "stranger", "garbage"])
def test_what_is_no_authority_is_refused_and_nothing_changes(tmp_path, fault):
    paths, _ = provision(tmp_path)
    before = paths.authority("server-ca").read_bytes()
    staged = tmp_path / "staged"
    write_custom(staged, "server-ca")
    key = ec.generate_private_key(ec.SECP256R1())
    match fault:
        case "leaf":
            (staged / "server-ca.crt").write_bytes(pem(sign("leaf", key, ROOT.subject, ROOT_KEY, ca=False), ROOT))
            (staged / "server-ca.key").write_bytes(pem(key))
        case "key":
            (staged / "server-ca.key").write_bytes(pem(key))
        case "missing":
            (staged / "server-ca.key").unlink()
        case "empty":
            (staged / "server-ca.key").unlink()
            (staged / "server-ca.crt").unlink()
        case "stranger":
            with (staged / "server-ca.crt").open("ab") as file:
                file.write(make_authority("stranger").certificate)
        case "garbage":
            (staged / "server-ca.crt").write_bytes(b"garbage")
    with pytest.raises(PkiError, match="staged"):
        read_new_authorities(paths, staged)
    assert paths.authority("server-ca").read_bytes() == before


def test_a_bundle_with_a_stranger_has_no_hash_that_a_token_could_pin():
    """A rogue server must not smuggle its authority in beside the pinned one."""
    chain = pem(ROOT)
    genuine = hash_ca(pem(sign("a", ec.generate_private_key(ec.SECP256R1()), ROOT.subject, ROOT_KEY)) + chain)
    assert len(genuine) == 64
    evil = make_authority("evil").certificate
    assert hash_ca(chain + evil) == ""
    assert hash_ca(evil + chain) == ""
    assert find_root(chain) == ROOT


def test_the_inventory_lists_every_certificate_and_how_it_stands(tmp_path, monkeypatch):
    provision(tmp_path)
    entries = list_certificates(tmp_path)
    names = {(one.file.name, one.usages) for one in entries}
    assert {("client-admin.crt", "ClientAuth"), ("client-admin.crt", "CertSign")} <= names
    assert {one.status(clock.now()) for one in entries} == {"OK"}
    later = clock.now().replace(year=clock.now().year + 2)
    assert {one.status(later) for one in entries if "CertSign" not in one.usages} == {"EXPIRED"}
    (tmp_path / "server" / "tls" / "broken.crt").write_text("x")
    with pytest.raises(PkiError, match=r"broken\.crt"):
        list_certificates(tmp_path)


def test_certificates_of_etcd_are_rotated_and_kept_beside(tmp_path):
    paths = pki_paths(tmp_path)
    leaves = etcd_leaves(paths, names=("n1", "192.0.2.1"))
    ensure_leaves(ensure_authorities(paths), leaves)
    old = {leaf.key: leaf.key.read_bytes() for leaf in leaves}
    assert rotate_leaves(paths, ("etcd",)) == ["etcd/client", "etcd/server-client", "etcd/peer-server-client"]
    assert not any(leaf.key.exists() or leaf.certificate.exists() for leaf in leaves)
    (kept,) = (tmp_path / "server").glob("tls-*")
    assert {file: (kept / "tls" / "etcd" / file.name).read_bytes() for file in old} == old
    assert len(ensure_leaves(ensure_authorities(paths), leaves)) == 3
