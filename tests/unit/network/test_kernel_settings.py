"""The kernel's settings, and the module that bridges need."""

from k3py.network.kernel_settings import apply_kernel_settings, load_bridge_module


def test_settings_are_written_where_they_differ_and_absent_ones_passed_over(tmp_path):
    forward = tmp_path / "net/ipv4/ip_forward"
    forward.parent.mkdir(parents=True)
    forward.write_text("0\n")
    assert apply_kernel_settings(tmp_path) == []
    assert forward.read_text() == "1"


def test_missing_forwarding_is_told(tmp_path):
    assert apply_kernel_settings(tmp_path) == ["net/ipv4/ip_forward"]


async def test_the_bridge_module_is_loaded_where_it_is_not_there(tmp_path, caplog):
    modprobe = tmp_path / "modprobe"
    modprobe.write_text(f'#!/bin/sh\nmkdir -p "{tmp_path}/net/$1" "{tmp_path}/net/bridge"\n')
    modprobe.chmod(0o755)
    assert await load_bridge_module(tmp_path, modprobe=modprobe)
    assert (tmp_path / "net/br_netfilter").exists()
    modprobe.unlink()
    assert await load_bridge_module(tmp_path, modprobe=modprobe)
    assert caplog.text == ""


async def test_a_kernel_without_it_is_told(tmp_path, caplog):
    assert not await load_bridge_module(tmp_path, modprobe=tmp_path / "nothing")
    assert "network policies" in caplog.text
