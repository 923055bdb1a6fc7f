import datetime as dt

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from k3py.api.status import ApiError
from k3py.apiserver.authn.x509 import X509Authenticator
from k3py.apiserver.interface import Credentials
from k3py.pki.authority import LeafRequest, make_authority, make_key, sign_leaf
from k3py.util import clock

AUTHORITY = make_authority("test")


def make_der(**subject):
    pem = sign_leaf(AUTHORITY, LeafRequest(**subject), key=make_key())
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


def issue(name, *organizations, days=1):
    return Credentials(peer_certificate=make_der(common_name=name, organizations=organizations, days=days))


async def refuses(authenticator, credentials):
    try:
        await authenticator.authenticate(credentials)
    except ApiError as error:
        return error.code == 401
    return False


async def test_dates_count_for_people_and_programs():
    authenticator = X509Authenticator(has_node=lambda name: has(name, "a"))
    assert not await refuses(authenticator, issue("alice"))
    for ended in (issue("alice", days=-400), issue("system:admin", "system:masters", days=-400)):
        assert await refuses(authenticator, ended)


async def has(name, *known):
    return name in known


async def test_a_nodes_key_outlives_its_date_as_long_as_there_is_the_node():
    authenticator = X509Authenticator(has_node=lambda name: has(name, "a"))
    assert not await refuses(authenticator, issue("system:node:a", "system:nodes", days=-400))
    assert await refuses(authenticator, issue("system:node:gone", "system:nodes", days=-400))
    assert await refuses(authenticator, issue("system:node:a", days=-400))  # not a member of system:nodes
    assert await refuses(authenticator, issue("system:nodes", "system:nodes", days=-400))
    assert await refuses(X509Authenticator(), issue("system:node:a", "system:nodes", days=-400))


async def test_a_certificate_that_ends_while_a_connection_lives_counts_no_longer(monkeypatch):
    authenticator, alice = X509Authenticator(), issue("alice")
    assert not await refuses(authenticator, alice)
    later = clock.now() + dt.timedelta(days=500)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert await refuses(authenticator, alice)
