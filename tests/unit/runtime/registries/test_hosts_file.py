"""containerd's files of registries."""

import tomllib
from pathlib import Path

from k3py.runtime.registries.hosts_file import render_hosts, write_hosts
from k3py.runtime.registries.settings import Endpoint, HostConfig, Mirror, Registries, Tls

MIRROR = Endpoint("http", "mirror.example:5000")
OTHER = Endpoint("https", "other.example", "/hub")


def render(**fields):
    return {name: tomllib.loads(text) for name, text in render_hosts(Registries(**fields)).items()}


def test_mirrors_come_first_and_the_registry_last():
    tls = Tls(Path('/c"a'), Path("/crt"), Path("/key"), insecure=True)
    files = render(
        mirrors={"docker.io": Mirror((MIRROR, OTHER))},
        hosts={"other.example": HostConfig(tls, {"username": "me", "password": "secret"})},
    )
    assert files["docker.io"] == {
        "server": "https://registry-1.docker.io/v2",
        "host": {
            "http://mirror.example:5000/v2": {"capabilities": ["pull", "resolve"]},
            "https://other.example/hub": {
                "capabilities": ["pull", "resolve"],
                "ca": '/c"a',
                "client": [["/crt", "/key"]],
                "skip_verify": True,
                "override_path": True,
            },
        },
    }
    assert next(iter(files["docker.io"]["host"])) == "http://mirror.example:5000/v2"
    # mirrors can be pulled from by their own names: rewritten ones are
    assert files["mirror.example:5000"] == {"server": "http://mirror.example:5000/v2", "host": {}}
    assert files["other.example"]["server"] == "https://other.example/v2"
    assert files["other.example"]["ca"] == '/c"a'
    assert "secret" not in str(files)


def test_without_default_endpoint_the_last_mirror_stands_in():
    files = render(mirrors={"a.example": Mirror((MIRROR, OTHER))}, default_endpoints=False)
    assert files["a.example"]["server"] == "https://other.example/hub"
    assert files["a.example"]["override_path"] is True
    assert list(files["a.example"]["host"]) == ["http://mirror.example:5000/v2"]


def test_what_holds_for_all_registries():
    insecure = HostConfig(Tls(insecure=True))
    files = render(
        mirrors={"*": Mirror((MIRROR,))}, hosts={"*": insecure, "b.example": HostConfig(Tls(ca=Path("/b")))}
    )
    assert "server" not in files["_default"]
    assert files["_default"]["skip_verify"] is True
    assert "http://mirror.example:5000/v2" in files["_default"]["host"]
    assert files["b.example"]["ca"] == "/b"
    assert "http://mirror.example:5000/v2" in files["b.example"]["host"]


def test_only_own_files_go(tmp_path):
    folder = tmp_path / "certs.d"
    write_hosts(folder, Registries(mirrors={"a.example": Mirror((MIRROR,))}))
    (folder / "mine").mkdir()
    (folder / "mine/hosts.toml").write_text("server = 'x'")
    write_hosts(folder, Registries())
    assert [one.name for one in folder.iterdir()] == ["mine"]
