# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bill of materials of a bundle in CycloneDX 1.6, and its list of licences. No Ansible, no I/O.

Both say what the lock says, byte for byte the same each time, so that `verify` can hold one against the other. Another
form of it is another format of the lock.
"""

from __future__ import annotations

import re
import uuid
from typing import Any, Dict, List

from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import (
    Component,
    File,
    Image,
    Lock,
    canonical,
    hex_of,
)

# Identifiers of SPDX, joined by its words; everything else is the name of a licence.
_EXPRESSION = re.compile(r"\(*[A-Za-z0-9.-]+\+?\)*( (AND|OR|WITH) \(*[A-Za-z0-9.-]+\+?\)*)*", re.ASCII)
_NAMES = uuid.UUID("0b9c1c7e-5d0c-5d2a-9f3a-6f0b1a3c7d11")


def sbom(lock: Lock) -> bytes:
    """The bill of materials: components with their licences, below each the artefacts with their hashes."""
    parts: Dict[str, List[Dict[str, Any]]] = {component.name: [] for component in lock.components}
    for file in lock.files:
        parts[file.component].append(_file(file))
    for image in lock.images:
        parts[image.component].append(_image(image))
    return canonical(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            # Random numbers and times would make two of the same.
            "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMES, lock.digest)}",
            "version": 1,
            "metadata": {
                "component": {
                    "bom-ref": "bundle",
                    "hashes": [_hash(lock.digest)],
                    "name": "onprem-dify-bundle",
                    "type": "data",
                    "version": lock.release,
                }
            },
            "components": [_component(component, parts[component.name]) for component in lock.components],
        }
    )


def licence_table(lock: Lock) -> str:
    """A page for people: each component, under which licence, from where, until when."""
    rows = [["Component", "Version", "Licence", "End of life", "Source"], ["---"] * 5]
    for component in lock.components:
        end = component.end_of_life or "not known"
        rows.append([component.name, component.version, component.licence, end, component.source])
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([f"# What is in the bundle {lock.release}, and under which licence", "", *lines, ""])


def _component(component: Component, parts: List[Dict[str, Any]]) -> Dict[str, Any]:
    entry: Dict[str, Any] = {
        "bom-ref": f"component:{component.name}",
        "externalReferences": [{"type": "website", "url": component.source}],
        "licenses": [_licence(component.licence)],
        "name": component.name,
        "type": "application",
        "version": component.version,
    }
    if component.end_of_life:
        entry["properties"] = [{"name": "onprem-dify:end-of-life", "value": component.end_of_life}]
    if parts:
        entry["components"] = parts
    return entry


def _file(file: File) -> Dict[str, Any]:
    entry: Dict[str, Any] = {
        "bom-ref": f"file:{file.path}",
        "hashes": [_hash(file.digest)],
        "name": file.path,
        "properties": _properties(architecture=file.architecture, kind=file.kind, size=str(file.size)),
        "type": "file",
    }
    if file.version:
        entry["version"] = file.version
    if file.source:
        entry["externalReferences"] = [{"type": "distribution", "url": file.source}]
    return entry


def _image(image: Image) -> Dict[str, Any]:
    repository = image.name.rpartition("/")[2]
    return {
        "bom-ref": f"image:{image.reference}",
        "hashes": [_hash(image.digest)],
        "name": image.name,
        "properties": _properties(size=str(image.size + sum(blob.size for blob in image.blobs))),
        "purl": f"pkg:oci/{repository}@sha256%3A{hex_of(image.digest)}?repository_url={image.name}&tag={image.tag}",
        "type": "container",
        "version": image.tag,
    }


def _licence(licence: str) -> Dict[str, Any]:
    if _EXPRESSION.fullmatch(licence):
        return {"expression": licence}
    return {"license": {"name": licence}}


def _hash(digest: str) -> Dict[str, str]:
    return {"alg": "SHA-256", "content": hex_of(digest)}


def _properties(**values: str) -> List[Dict[str, str]]:
    return [{"name": f"onprem-dify:{name}", "value": value} for name, value in values.items()]
