"""The list of parts, as SPDX 2.3: what is in the file, in which version, under which license."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from debian import Package
    from parts import GoProgram


def write_bill(
    out: Path,
    *,
    version: str,
    epoch_s: int,
    packages: tuple[Package, ...],
    programs: tuple[GoProgram, ...],
    requirements: Path,
) -> None:
    """Write the list; the same parts make the same bytes."""
    parts: list[dict[str, object]] = []

    def add(name: str, found: str, license_name: str, locator: str) -> None:
        parts.append(
            {
                "SPDXID": f"SPDXRef-{len(parts)}",
                "name": name,
                "versionInfo": found,
                "downloadLocation": "NOASSERTION",
                "filesAnalyzed": False,
                "licenseDeclared": license_name,
                "externalRefs": [
                    {
                        "referenceCategory": "PACKAGE-MANAGER",
                        "referenceType": "purl",
                        "referenceLocator": locator,
                    }
                ],
            }
        )

    add("k3py", version, "Apache-2.0", f"pkg:generic/k3py@{version}")
    for program in programs:
        add(
            program.module, program.version, program.license, f"pkg:golang/{program.module}@{program.version}"
        )
    for package in packages:
        # Their licenses are many, and lie in the file word for word: share/licenses.
        add(package.name, package.version, "NOASSERTION", f"pkg:deb/debian/{package.name}@{package.version}")
    for line in requirements.read_text().splitlines():
        name, _, pinned = line.partition("==")
        if pinned:
            add(name, pinned, "NOASSERTION", f"pkg:pypi/{name.lower()}@{pinned}")
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"k3py-{version}",
        "documentNamespace": f"urn:k3py:{hashlib.sha256(json.dumps(parts).encode()).hexdigest()}",
        "creationInfo": {
            "created": datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": ["Tool: packaging/build"],
        },
        "packages": parts,
    }
    out.write_text(json.dumps(document, indent=1) + "\n")
