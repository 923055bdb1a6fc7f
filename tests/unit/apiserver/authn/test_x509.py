from cryptography import x509
from cryptography.hazmat.primitives import serialization

from k3py.apiserver.authn.x509 import X509Authenticator
from k3py.apiserver.interface import Credentials
from k3py.pki.authority import LeafRequest, make_authority, make_key, sign_leaf


def make_der(**subject):
    pem = sign_leaf(make_authority("test"), LeafRequest(**subject), key=make_key())
    certificate = x509.load_pem_x509_certificate(pem)
    return certificate.public_bytes(serialization.Encoding.DER)


async def test_common_name_is_the_user_and_organisations_are_groups():
    authenticator = X509Authenticator()
    der = make_der(common_name="system:node:n", organizations=("system:nodes",))
    user = await authenticator.authenticate(Credentials(peer_certificate=der))
    assert user is not None
    assert (user.name, user.groups) == ("system:node:n", ("system:nodes",))
    assert user.extra["authentication.kubernetes.io/credential-id"][0].startswith("X509SHA256=")
    assert await authenticator.authenticate(Credentials(peer_certificate=der)) is user


async def test_no_certificate_is_no_user():
    assert await X509Authenticator().authenticate(Credentials()) is None
