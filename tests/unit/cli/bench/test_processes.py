"""Which processes a benchmark counts, and how it adds them up."""

from k3py.cli.bench.processes import Process, disk_written_bytes, find_processes, sample


def process(proc, pid, comm, *words, written=0):
    folder = proc / str(pid)
    (folder / "task/1").mkdir(parents=True)
    (folder / "comm").write_text(comm + "\n")
    (folder / "cmdline").write_bytes(b"\0".join(word.encode() for word in words))
    (folder / "stat").write_text(f"{pid} ({comm} x) S " + " ".join(["0"] * 10) + " 150 50 0 0")
    (folder / "statm").write_text("100 10 0")
    (folder / "smaps_rollup").write_text("Rss: 40 kB\nPss: 30 kB\n")
    (folder / "io").write_text(f"write_bytes: {written}\ncancelled_write_bytes: 100\n")
    (folder / "task/1/status").write_text("voluntary_ctxt_switches: 7\n")


def test_the_distribution_is_found_and_pods_are_not(tmp_path):
    process(tmp_path, 1, "systemd", "/sbin/init")
    process(tmp_path, 10, "python3.11", "/usr/bin/python3.11", "-m", "k3py", "server")
    process(tmp_path, 11, "containerd", "/usr/bin/containerd", "--config", "x")
    process(tmp_path, 12, "containerd-shim", "/usr/bin/containerd-shim-runc-v2", "-namespace", "k8s.io")
    process(tmp_path, 13, "k3s-server", "/usr/local/bin/k3s", "server")
    process(tmp_path, 14, "python3", "/usr/bin/python3", "-m", "http.server")
    tree = "/var/lib/k3py/data/0a1b"
    loader = (f"{tree}/lib/ld-linux-x86-64.so.2", "--library-path", f"{tree}/lib", "--argv0", f"{tree}/libexec/python3.11")
    process(tmp_path, 15, "ld-linux-x86-64", *loader, f"{tree}/libexec/python3.11", "-I", "-S", "-B", f"{tree}/packages", "server")
    found = [(one.pid, one.name) for one in find_processes(proc=tmp_path)]
    assert found == [(10, "k3py"), (11, "containerd"), (13, "k3s-server"), (15, "k3py")]
    assert [one.pid for one in find_processes(("http.server",), proc=tmp_path)] == [14]


def test_costs_are_added_and_the_dead_count_nothing(tmp_path):
    process(tmp_path, 10, "a", "a", written=1100)
    process(tmp_path, 11, "b", "b", written=2100)
    found = sample([Process(pid=10, name="a"), Process(pid=11, name="b"), Process(pid=99, name="dead")], proc=tmp_path)
    assert (found.pss_bytes, found.written_bytes, found.wakeups) == (60 * 1024, 3000, 14)
    assert found.cpu_s == 4.0


def test_bytes_of_a_disk(tmp_path):
    (tmp_path / "class/block/vda").mkdir(parents=True)
    (tmp_path / "class/block/vda/stat").write_text("1 2 3 4 5 6 2048 8 9")
    assert disk_written_bytes("vda", sys=tmp_path) == 2048 * 512
