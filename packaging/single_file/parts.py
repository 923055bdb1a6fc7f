"""What goes into the file: a table of Go programs and a table of Debian's packages, with versions and licenses.

Go programs are built from their modules without cgo where that is possible, since their packages in Debian are older and need its C
library; what is C comes from Debian's packages as it is, with the C library and the loader that it was linked against.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class GoProgram:
    """A program of a Go module.

    Attributes:
        path: where it lies in the unpacked tree.
        module: the module that has the version.
        package: what to build, below the module; "" = the module's root.
        tags: build tags, comma between.
        variables: linker variables, each NAME=VALUE.
        cgo: linked statically with the C library and libseccomp of the building machine.
        folder: a main program of this folder that joins packages of the module; "" = the module's own `package`.
    """

    path: str
    module: str
    version: str
    package: str
    license: str = "Apache-2.0"
    tags: str = "netgo,osusergo"
    variables: tuple[str, ...] = ()
    cgo: bool = False
    folder: str = ""


_CONTAINERD = "github.com/containerd/containerd/v2"
_CONTAINERD_VERSION = "v2.4.2"
_CONTAINERD_VARIABLES = (f"{_CONTAINERD}/version.Version={_CONTAINERD_VERSION}",)
_PLUGINS = "github.com/containernetworking/plugins"
_PLUGINS_VERSION = "v1.10.0"


def _containerd(name: str, *, package: str = "", folder: str = "") -> GoProgram:
    # btrfs, zfs and the device mapper are snapshotters that k3py never chooses.
    return GoProgram(
        path=f"bin/{name}",
        module=_CONTAINERD,
        version=_CONTAINERD_VERSION,
        package=package,
        tags="netgo,osusergo,no_btrfs,no_devmapper,no_zfs,no_aufs",
        variables=_CONTAINERD_VARIABLES,
        folder=folder,
    )


def _plugin(package: str) -> GoProgram:
    name = package.rpartition("/")[2]
    return GoProgram(
        path=f"bin/cni/{name}",
        module=_PLUGINS,
        version=_PLUGINS_VERSION,
        package=f"plugins/{package}",
        variables=(f"{_PLUGINS}/pkg/utils/buildversion.BuildVersion={_PLUGINS_VERSION}",),
    )


GO_PROGRAMS: tuple[GoProgram, ...] = (
    _containerd("containerd", folder="containerd"),  # and ctr
    _containerd("containerd-shim-runc-v2", package="cmd/containerd-shim-runc-v2"),
    GoProgram(
        path="bin/runc",
        module="github.com/opencontainers/runc",
        version="v1.5.2",
        package="",
        tags="netgo,osusergo,seccomp,urfave_cli_no_docs",
        cgo=True,
    ),
    _plugin("main/bridge"),
    _plugin("main/loopback"),
    _plugin("ipam/host-local"),
    _plugin("meta/portmap"),
    _plugin("meta/bandwidth"),
)

ETCD = GoProgram(
    path="bin/etcd",
    module="go.etcd.io/etcd/server/v3",
    version="v3.6.5",
    package="",
    folder="etcd",
)
"""For `--cluster-init`; only on demand (--with-etcd), as most machines have one server."""

DEBIAN_PACKAGES: tuple[str, ...] = (
    "python3.11-minimal",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "libc6",
    "libssl3",
    "libsqlite3-0",
    "zlib1g",
    "libexpat1",
    "libffi8",
    "liblzma5",
    "libbz2-1.0",
    "libuuid1",
    "libgcc-s1",
    "libstdc++6",
    "nftables",
    "libnftables1",
    "libnftnl11",
    "libmnl0",
    "libxtables12",
    "libjansson4",
    "libgmp10",
    "libedit2",
    "libbsd0",
    "libmd0",
    "libtinfo6",
    "conntrack",
    "libnetfilter-conntrack3",
    "libnfnetlink0",
    "iproute2",
    "libbpf1",
    "libelf1",
    "libcap2",
    "busybox-static",
)

LINKED_PROGRAMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("nft", ("usr/sbin/nft",)),
    ("conntrack", ("usr/sbin/conntrack",)),
    ("ip", ("bin/ip", "usr/bin/ip")),
    ("bridge", ("sbin/bridge", "usr/sbin/bridge")),
)
"""Programs of Debian's packages that need the C library brought along: name, where their package has them."""

UNUSED_MODULES: tuple[str, ...] = (
    "ensurepip",
    "idlelib",
    "lib2to3",
    "tkinter",
    "turtledemo",
    "turtle.py",
    "test",
    "unittest",
    "pydoc_data",
    "pydoc.py",
    "distutils",
    "venv",
    "wsgiref",
    "xmlrpc",
    "curses",
    "dbm",
    "doctest.py",
    "pdb.py",
    "cProfile.py",
    "profile.py",
    "pstats.py",
    "sitecustomize.py",
)
"""Of Python's own library, what nothing here imports."""
