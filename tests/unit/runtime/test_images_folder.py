"""Lists of images."""

from k3py.runtime.images_folder import read_lists


def test_lists_name_an_image_a_line(tmp_path):
    (tmp_path / "b.txt").write_text("c:1\na:1\n")
    (tmp_path / "a.txt").write_text("# comment\n\n  a:1  \nb:1\r\n")
    (tmp_path / ".hidden.txt").write_text("x")
    (tmp_path / "a.tar").write_text("x")
    assert read_lists(tmp_path) == ["a:1", "b:1", "c:1"]
