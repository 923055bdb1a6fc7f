"""registries.yaml: what it may say, and what is said about what it may not."""

import pytest

from k3py.errors import ConfigError
from k3py.runtime.registries.settings import Endpoint, default_endpoint, load_registries


def load(tmp_path, text):
    file = tmp_path / "registries.yaml"
    file.write_text(text)
    file.chmod(0o600)
    return load_registries(file, explicit=True)


def test_all_fields(tmp_path):
    for name in ("ca", "crt", "key"):
        (tmp_path / name).touch()
    found = load(
        tmp_path,
        f"""
mirrors:
  docker.io:
    endpoint: ["https://mirror.example:5000", "plain.example/v2/hub/", "http://h:80", "https://registry-1.docker.io"]
    rewrite: {{"^library/(.*)": "mirrored/$1"}}
  "*":
    endpoint: ["https://all.example"]
configs:
  mirror.example:5000:
    auth: {{username: me, password: secret}}
    tls: {{ca_file: {tmp_path}/ca, cert_file: {tmp_path}/crt, key_file: {tmp_path}/key, insecure_skip_verify: true}}
  coded.example: {{auth: {{auth: bWU6c2VjOnJldA==}}}}
  token.example: {{auth: {{token: abc}}}}
""",
    )
    mirror = found.mirror_of("docker.io")
    assert mirror.endpoints == (
        Endpoint("https", "mirror.example:5000"),
        Endpoint("https", "plain.example", "/v2/hub"),
        Endpoint("http", "h:80"),
    )
    assert mirror.rewrites == (("^library/(.*)", "mirrored/$1"),)
    assert found.mirror_of("quay.io").endpoints[0].host == "all.example"
    config = found.config_of("mirror.example:5000")
    assert config.tls.insecure
    assert config.tls.key == tmp_path / "key"
    assert config.auth["password"] == "secret"
    assert found.config_of("coded.example").auth["password"] == "sec:ret"
    assert found.config_of("token.example").auth["identity_token"] == "abc"
    assert found.config_of("other.example") is None
    assert "secret" not in repr(found)


def test_a_file_that_is_not_there(tmp_path):
    assert not load_registries(tmp_path / "none", explicit=False).mirrors
    with pytest.raises(ConfigError, match=r"--private-registry.*none"):
        load_registries(tmp_path / "none", explicit=True)


def test_an_empty_file_says_nothing(tmp_path):
    assert not load(tmp_path, "").mirrors


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mirror: {}", "mirror: is not known"),
        ("mirrors: []", "mirrors: must be an object"),
        ("mirrors: {docker.io: {endpoints: []}}", "mirrors.docker.io.endpoints: is not known"),
        ("mirrors: {docker.io: {endpoint: ['ftp://x']}}", "endpoint[0]: 'ftp://x': must be a URL"),
        ("mirrors: {docker.io: {endpoint: ['https://a:b@x']}}", "endpoint[0]"),
        ("mirrors: {../x: {}}", "'../x': must be a registry's host"),
        ("mirrors: {docker.io: {rewrite: {'(': a}}}", "rewrite: '(': error parsing regexp"),
        ("configs: {x: {auth: {password: hush-hush}}}", "configs.x.auth: needs username"),
        ("configs: {x: {auth: {auth: hush-hush}}}", "auth: must be the base64"),
        ("configs: {x: {tls: {ca_file: /no/such}}}", "ca_file: '/no/such': no such file"),
    ],
)
def test_faults_name_the_field_and_no_secret(tmp_path, text, said):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert said in str(caught.value)
    assert "hush" not in str(caught.value)


def test_where_registries_answer():
    assert default_endpoint("docker.io").url == "https://registry-1.docker.io/v2"
    assert default_endpoint("a.example:5000").url == "https://a.example:5000/v2"
