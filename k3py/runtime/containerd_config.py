"""containerd's configuration file, rendered for the version that is there (pure)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from k3py.runtime.registries.settings import Registries

if TYPE_CHECKING:
    from k3py.runtime.extra_runtimes import ExtraRuntime

# What k3py has no use for; less memory, and no folder made outside of the data directory (opt).
_DISABLED: Final = (
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.internal.v1.opt",
    "io.containerd.internal.v1.restart",
    "io.containerd.internal.v1.tracing",
    "io.containerd.tracing.processor.v1.otlp",
    "io.containerd.monitor.v1.cgroups",
    "io.containerd.monitor.task.v1.cgroups",
    "io.containerd.nri.v1.nri",
)


# Where other networks' installers put their plugins.
_OTHERS_PLUGINS: Final = Path("/opt/cni/bin")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerdConfig:
    """Paths and choices of k3py's own containerd.

    Attributes:
        root: Images and snapshots; has to be on a real disk.
        state: What lives until the next boot.
        socket: Where it serves.
        config_file: Rendered anew at each start.
        log_file: Its output; the one before is kept as `<name>.1`.
        images_dir: Image archives to import at start.
        cni_conf_dir: Where the pod network writes its configuration.
        registry_dir: certs.d, hosts files of registries.
        bin_dir: k3py's own programs, looked at before the system's.
        pause_image: Name of the sandbox image.
        snapshotter: "" chooses overlayfs where it works, else native.
        cgroup_driver: "cgroupfs" or "systemd"; the kubelet's, which names the parents of containers' groups.
        default_runtime: Handler of pods without a RuntimeClass, "" = runc.
        registries: Mirrors and how to trust them; written to `registry_dir`.
    """

    root: Path
    state: Path
    socket: Path
    config_file: Path
    log_file: Path
    images_dir: Path
    cni_conf_dir: Path
    registry_dir: Path
    bin_dir: Path | None = None
    pause_image: str = "k3py.io/pause:1"
    snapshotter: str = ""
    cgroup_driver: str = "cgroupfs"
    default_runtime: str = ""
    registries: Registries = field(default_factory=Registries)

    @classmethod
    def for_data_dir(
        cls,
        data_dir: Path,
        *,
        run_dir: Path = Path("/run/k3py"),
        pause_image: str = "",
        snapshotter: str = "",
        default_runtime: str = "",
        registries: Registries | None = None,
    ) -> ContainerdConfig:
        """Return the layout below k3py's data directory and run directory."""
        agent = data_dir / "agent"
        return cls(
            root=agent / "containerd",
            state=run_dir / "containerd",
            socket=run_dir / "containerd/containerd.sock",
            config_file=agent / "etc/containerd/config.toml",
            log_file=agent / "containerd/containerd.log",
            images_dir=agent / "images",
            cni_conf_dir=agent / "etc/cni/net.d",
            registry_dir=agent / "etc/containerd/certs.d",
            bin_dir=data_dir / "bin",
            pause_image=pause_image or "k3py.io/pause:1",
            snapshotter=snapshotter,
            default_runtime=default_runtime,
            registries=registries or Registries(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFacts:
    """What of the machine decides the configuration (read by `runtime.machine`)."""

    containerd_version: tuple[int, int]
    runc: Path
    cni_bin_dir: Path
    snapshotter: str
    restrict_oom_score_adj: bool
    extra_runtimes: tuple[ExtraRuntime, ...] = ()


def render_config(config: ContainerdConfig, facts: MachineFacts) -> str:
    """Return the file's text: version 3 for containerd 2.x, else version 2."""
    new = facts.containerd_version >= (2, 0)
    images = "io.containerd.cri.v1.images" if new else "io.containerd.grpc.v1.cri"
    runtime = "io.containerd.cri.v1.runtime" if new else "io.containerd.grpc.v1.cri"
    runc = f"plugins.{_text(runtime)}.containerd.runtimes.runc"
    tables: dict[str, dict[str, str]] = {
        "": {
            "version": "3" if new else "2",
            "root": _text(config.root),
            "state": _text(config.state),
            "oom_score": "0",
            "disabled_plugins": "[" + ", ".join(map(_text, _DISABLED)) + "]",
        },
        "grpc": {"address": _text(config.socket)},
        # The scheduler wakes after 1/threshold times the last collection's length to see whether there is something to collect:
        # by default 33 times a second for ever. Removing an image collects at once in any case.
        f"plugins.{_text('io.containerd.gc.v1.scheduler')}": {
            "pause_threshold": "0.0001",
            "deletion_threshold": "10",
        },
        f"plugins.{_text('io.containerd.grpc.v1.cri')}": {
            "stream_server_address": _text("127.0.0.1"),
            "stream_server_port": _text("0"),
        },
    }

    def put(table: str, **values: str) -> None:
        tables.setdefault(table, {}).update(values)

    put(
        f"plugins.{_text(runtime)}",
        restrict_oom_score_adj=_bool(facts.restrict_oom_score_adj),
        enable_unprivileged_ports="true",
        enable_unprivileged_icmp="true",
    )
    if (1, 7) <= facts.containerd_version < (2, 0):  # from 2.0 on by itself
        put(f"plugins.{_text(runtime)}", enable_cdi="true")
    put(f"plugins.{_text(runtime)}.cni", conf_dir=_text(config.cni_conf_dir))
    if facts.containerd_version >= (2, 1):
        put(
            f"plugins.{_text(runtime)}.cni",
            bin_dirs=f"[{_text(facts.cni_bin_dir)}, {_text(_OTHERS_PLUGINS)}]",
        )
    else:
        put(f"plugins.{_text(runtime)}.cni", bin_dir=_text(facts.cni_bin_dir))
    default_runtime = config.default_runtime or "runc"
    put(f"plugins.{_text(runtime)}.containerd", default_runtime_name=_text(default_runtime))
    if new:
        put(f"plugins.{_text(images)}", snapshotter=_text(facts.snapshotter))
        put(f"plugins.{_text(images)}.pinned_images", sandbox=_text(config.pause_image))
    else:
        put(f"plugins.{_text(images)}", sandbox_image=_text(config.pause_image))
        put(f"plugins.{_text(images)}.containerd", snapshotter=_text(facts.snapshotter))
    put(f"plugins.{_text(images)}.registry", config_path=_text(config.registry_dir))
    put(runc, runtime_type=_text("io.containerd.runc.v2"))
    put(
        f"{runc}.options",
        BinaryName=_text(facts.runc),
        # Below our own folder, for k3py-killall.sh to remove; the default is /run/containerd/runc.
        Root=_text(config.state / "runc"),
        SystemdCgroup=_bool(config.cgroup_driver == "systemd"),
    )
    for extra in facts.extra_runtimes:
        table = f"plugins.{_text(runtime)}.containerd.runtimes.{_text(extra.name)}"
        put(table, runtime_type=_text(extra.type))
        if extra.program is not None:
            put(
                f"{table}.options",
                BinaryName=_text(extra.program),
                Root=_text(config.state / extra.name),
                SystemdCgroup=_bool(config.cgroup_driver == "systemd"),
            )
    lines = ["# Made by k3py at each start; changes here are lost."]
    for table, values in tables.items():
        if table:
            lines.append(f"\n[{table}]")
        lines += [f"{key} = {value}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def _text(value: str | Path) -> str:
    """Quote a TOML basic string."""
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _bool(value: bool) -> str:
    return "true" if value else "false"
