"""`k3py certificate`, on a data dir as a server leaves it."""

import json

import pytest

from k3py.cli.certificate import run
from k3py.errors import ConfigError, K3pyError
from k3py.pki.authority import make_authority
from k3py.pki.layout import pki_paths, server_leaves
from k3py.pki.provision import ensure_authorities, ensure_leaves
from k3py.util import clock
from k3py.util.data_dir import hold_data_dir


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("K3PY_CONFIG_FILE", "")
    folder = tmp_path / "data"
    paths = pki_paths(folder)
    leaves = server_leaves(paths, names=(), service_ip="10.43.0.1", cluster_domain="cluster.local")
    ensure_leaves(ensure_authorities(paths), leaves)
    return folder


def test_check_shows_all_and_tells_by_its_code_when_one_has_ended(data_dir, capsys, monkeypatch):
    assert run(["check", f"--data-dir={data_dir}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["FILENAME", "SUBJECT", "USAGES", "EXPIRES", "RESIDUAL", "TIME", "STATUS"]
    assert any(line.startswith("client-admin.crt") and line.endswith("OK") for line in lines)
    later = clock.now().replace(year=clock.now().year + 2)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert run(["check", f"--data-dir={data_dir}", "-o", "json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert {one["status"] for one in found} == {"OK", "EXPIRED"}


def test_new_authorities_lock_nobody_out_unless_that_is_wanted(data_dir, tmp_path, capsys):
    assert run(["rotate-ca", f"--data-dir={data_dir}"]) == 0
    assert "node-token is new" not in capsys.readouterr().out
    authority = make_authority("other")
    (tmp_path / "server-ca.crt").write_bytes(authority.certificate)
    (tmp_path / "server-ca.key").write_bytes(authority.key)
    with pytest.raises(K3pyError, match=r"server-ca: another root or key.*--force"):
        run(["rotate-ca", f"--data-dir={data_dir}", f"--path={tmp_path}"])
    assert run(["rotate-ca", f"--data-dir={data_dir}", "--force"]) == 0
    assert "node-token is new" in capsys.readouterr().out


def test_rotating_names_what_it_will_make_anew(data_dir, capsys):
    assert run(["rotate", f"--data-dir={data_dir}", "--service=admin,service-account"]) == 0
    out = capsys.readouterr().out
    assert "client-admin" in out
    assert "older ones stay valid" in out
    with pytest.raises(ConfigError, match="'nobody': must be of admin"):
        run(["rotate", f"--data-dir={data_dir}", "--service=nobody"])


def test_a_running_server_is_not_meddled_with(data_dir):
    with hold_data_dir(data_dir), pytest.raises(K3pyError, match="is in use by another k3py"):
        run(["rotate", f"--data-dir={data_dir}"])
