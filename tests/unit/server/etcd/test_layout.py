"""Names of members and where their data goes when it is put aside."""

from k3py.server.etcd.layout import EtcdLayout, ensure_member_name, node_of, put_aside


def test_the_name_is_the_nodes_with_eight_digits_and_stays(tmp_path):
    layout = EtcdLayout(data_dir=tmp_path)
    name = ensure_member_name(layout, "shed-1")
    assert name.startswith("shed-1-")
    assert len(name) == len("shed-1-") + 8
    assert ensure_member_name(layout, "shed-1") == name
    assert node_of(name) == "shed-1"
    assert layout.folder.stat().st_mode & 0o777 == 0o700


def test_a_member_is_there_once_etcd_has_begun_its_log(tmp_path):
    layout = EtcdLayout(data_dir=tmp_path)
    ensure_member_name(layout, "n")
    (layout.folder / "member/wal").mkdir(parents=True)
    assert not layout.has_member
    (layout.folder / "member/wal/0000000000000000-0000000000000000.wal").touch()
    assert layout.has_member


def test_data_is_put_aside_and_the_newest_five_are_kept(tmp_path):
    layout = EtcdLayout(data_dir=tmp_path)
    assert put_aside(layout) is None
    kept = []
    for number in range(7):
        ensure_member_name(layout, f"n{number}")
        kept.append(put_aside(layout))
    assert not layout.folder.exists()
    left = sorted(layout.folder.parent.glob("etcd-old-*"))
    assert len(left) == 5
    assert kept[-1] in left
    assert node_of((kept[-1] / "name").read_text()) == "n6"
