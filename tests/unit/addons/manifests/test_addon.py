"""What an Addon says."""

from k3py.addons.manifests.addon import make_addon, owner_marks, read_gvks, write_gvks


def test_kinds_are_read_as_they_were_written():
    addon = make_addon("a")
    assert read_gvks(addon) == set()
    text = write_gvks({("v1", "Secret"), ("apps/v1", "Deployment")})
    assert text == "apps/v1, Kind=Deployment;v1, Kind=Secret"
    addon["metadata"]["annotations"] = {"addon.k3s.cattle.io/gvks": text}
    assert read_gvks(addon) == {("v1", "Secret"), ("apps/v1", "Deployment")}


def test_what_two_addons_made_can_be_told_apart():
    assert owner_marks("a")[0] != owner_marks("b")[0]
    assert owner_marks("a") == owner_marks("a")
