"""CRI v1 over a unix socket: `CriRuntime`, the real runtime (containerd, CRI-O)."""

from k3py.runtime.cri.runtime import CriRuntime

__all__ = ["CriRuntime"]
