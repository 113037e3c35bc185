# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the hosts of a site know of its mirrors: addresses, repositories, pins, registries. No Ansible, no I/O."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping
from urllib.parse import quote, unquote, urlsplit

from ansible_collections.onprem.dify.plugins.module_utils.mirror_registry import repository
from ansible_collections.onprem.dify.plugins.module_utils.mirror_store import CURRENT, DIRECTORY
from ansible_collections.onprem.dify.plugins.module_utils.pins import Host, Pin, PinError, archive_of

# Where every host has what it needs to trust the mirrors.
TRUST = "/etc/onprem-dify/mirror"
CA_FILE, KEY_FILE, MAKERS_FILE = f"{TRUST}/ca.crt", f"{TRUST}/packages.asc", f"{TRUST}/makers.asc"
REGISTRY_PORT = 5000
_HERE = f"{DIRECTORY}/{CURRENT}"
# What a host gives that has a mirror with a bundle.
GIVEN = ("mirror_bundle", "mirror_bundle_on_host")

Mirrors = Mapping[str, Any]


def mirrors(
    hosts: Mapping[str, Mapping[str, Any]], hostvars: Mapping[str, Mapping[str, Any]], wanted: bool
) -> Dict[str, Any]:
    """The mirrors of a site, as `site_facts.mirror`; nothing at a site that gives no bundle."""
    members = [name for name, host in hosts.items() if "mirror" in host["groups"]]
    given = any(hostvars[name].get(variable) for name in members for variable in GIVEN)
    if not members or not (given or wanted):
        return {}
    addresses = [_literal(hosts[name]["address"]) for name in members]
    return {
        "hosts": members,
        "urls": [f"https://{address}" for address in addresses],
        "registries": [f"{address}:{REGISTRY_PORT}" for address in addresses],
        "ca_file": CA_FILE,
        "key_file": KEY_FILE,
        "makers_file": MAKERS_FILE,
    }


def _literal(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def repositories(found: Mirrors, host: str, facts: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """The repository of the bundle in the form of `packages_repositories`. A mirror reads its own from its disk."""
    if not found:
        return []
    system = f"packages/{facts['distribution']}_{facts['distribution_major_version']}"
    places = [f"{url}/{system}" for url in found["urls"]]
    if host in found["hosts"]:
        places = [f"file:{_HERE}/{system}"]
    if facts["os_family"] == "Debian":
        suites = [str(facts["distribution_release"])]
        return [{"name": "mirror", "uris": places, "suites": suites, "signed_by": found["key_file"]}]
    certified = {} if host in found["hosts"] else {"ca_file": found["ca_file"]}
    files = [place.replace("file:/", "file:///", 1) for place in places]
    # The index has the signature of the bundle, and each package that of its makers.
    keys = [f"file://{found['key_file']}", f"file://{found['makers_file']}"]
    return [{"name": "mirror", "baseurl": files, "gpgkey": keys, "repo_gpgcheck": True, **certified}]


def archive(pin: Pin, host: Host, found: Mirrors, name: str) -> Dict[str, Any]:
    """The archive of a pin with the addresses from which a host takes it, the first one that answers."""
    chosen = archive_of(pin, host)
    parts = urlsplit(str(chosen["url"]))
    if not found or parts.scheme not in ("http", "https"):
        return {"urls": [chosen["url"]], "sha256": chosen["sha256"]}
    file = quote(unquote(parts.path).rpartition("/")[2])
    path = f"files/{pin['name']}/{pin['version']}/{host.architecture}/{file}"
    return {
        "urls": [f"{place}/{path}" for place in _places(found, name, f"file://{_HERE}")],
        "sha256": chosen["sha256"],
    }


def wheel_links(pin: Pin, found: Mirrors, name: str) -> List[str]:
    """Folders or pages with the wheels of a pin, as a host finds them."""
    own = str(pin.get("wheels") or "")
    needed = {"requirements": pin.get("requirements"), "wheels": own or found}
    lacking = [field for field, there in needed.items() if not there]
    if lacking:
        raise PinError(
            f"{pin['name']} {pin['version']}: no wheels. Give {' and '.join(lacking)} in site_pins.{pin['name']}."
        )
    # A folder on the host itself stays.
    if own.startswith("/") or not found:
        return [own]
    return [f"{place}/wheels/{pin['name']}/" for place in _places(found, name, _HERE)]


def _places(found: Mirrors, name: str, here: str) -> List[str]:
    """The mirrors, as one host asks them: a mirror has everything on its disk."""
    return [here] if name in found["hosts"] else list(found["urls"])


def registry_hosts(images: Iterable[str], found: Mirrors) -> Dict[str, str]:
    """For containerd: the file `hosts.toml` of each registry of `images`, by the name of its folder.

    A registry is looked for in the mirrors under its own name, so that images of two registries never mix. The last
    mirror stands as the server itself: what is not there is asked of nobody else, and neither is a registry without a
    file of its own.
    """
    if not found:
        return {}
    names = sorted({image.partition("/")[0] for image in images})
    files = {name: _hosts_toml(found, f"/v2/{repository(name)}") for name in names}
    return {**files, "_default": _hosts_toml(found, "/v2/no.registry.of.the.bundle")}


def _hosts_toml(found: Mirrors, path: str) -> str:
    *first, last = [f"https://{address}{path}" for address in found["registries"]]
    lines = [f'server = "{last}"', *_host(found)]
    for place in first:
        lines += ["", f'[host."{place}"]', *(f"  {line}" for line in _host(found))]
    return "".join(f"{line}\n" for line in lines)


def _host(found: Mirrors) -> List[str]:
    return ['capabilities = ["pull", "resolve"]', f'ca = "{found["ca_file"]}"', "override_path = true"]
