"""Versions that k3py reports about itself.

`KUBERNETES_VERSION` is the API level that we claim: kubectl's skew warning, Helm's capability checks and Go clients' semver
parsing read `gitVersion`, so the build suffix is `+k3py…`, never a `-` prerelease (api-machinery.md §1.1).
"""

from typing import Final

VERSION: Final = "0.1.0"
KUBERNETES_VERSION: Final = "v1.35.4"
GIT_VERSION: Final = f"{KUBERNETES_VERSION}+k3py{VERSION}"
RELEASED: Final = "2026-11-01"
"""No clock of a machine that runs this is right before that day; certificates reckon with it."""
