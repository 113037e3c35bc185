# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the hosts of a site know of its mirrors: addresses, repositories, pins, registries. No Ansible, no I/O."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping
from urllib.parse import quote, unquote, urlsplit

from ansible_collections.onprem.dify.plugins.module_utils.mirror_registry import repository
from ansible_collections.onprem.dify.plugins.module_utils.mirror_store import CURRENT, DIRECTORY
from ansible_collections.onprem.dify.plugins.module_utils.pins import Pin, merge

# Where every host has what it needs to trust the mirrors.
TRUST = "/etc/onprem-dify/mirror"
CA_FILE, KEY_FILE, MAKERS_FILE = f"{TRUST}/ca.crt", f"{TRUST}/packages.asc", f"{TRUST}/makers.asc"
REGISTRY_PORT = 5000
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
        places = [f"file:{DIRECTORY}/{CURRENT}/{system}"]
    if facts["os_family"] == "Debian":
        suites = [str(facts["distribution_release"])]
        return [{"name": "mirror", "uris": places, "suites": suites, "signed_by": found["key_file"]}]
    certified = {} if host in found["hosts"] else {"ca_file": found["ca_file"]}
    files = [place.replace("file:/", "file:///", 1) for place in places]
    # The index has the signature of the bundle, and each package that of its makers.
    keys = [f"file://{found['key_file']}", f"file://{found['makers_file']}"]
    return [{"name": "mirror", "baseurl": files, "gpgkey": keys, "repo_gpgcheck": True, **certified}]


def pins(bundle: Mapping[str, Pin], site: Mapping[str, Any], found: Mirrors, host: str) -> Dict[str, Any]:
    """What a site pins, with the places of archives and wheels on its mirror. A mirror has them on its disk."""
    if not found:
        return dict(site)
    here = f"{DIRECTORY}/{CURRENT}"
    url, wheels = (f"file://{here}", here) if host in found["hosts"] else (found["urls"][0], found["urls"][0])
    own = {name: _on_mirror(name, bundle[name], site.get(name) or {}, url, wheels) for name in bundle}
    return {**site, **own}


def _on_mirror(component: str, pin: Pin, own: Any, url: str, wheels: str) -> Any:
    if not isinstance(own, Mapping):  # a fault that the pins name
        return own
    merged = merge(pin, own)
    moved: Dict[str, Any] = dict(own)
    archives = merged.get("archives")
    if isinstance(archives, Mapping):
        moved["archives"] = {
            architecture: _archive(component, str(merged["version"]), architecture, archive, url)
            for architecture, archive in archives.items()
        }
    # A folder on the host itself stays.
    if merged.get("requirements") and not str(merged.get("wheels", "")).startswith("/"):
        moved["wheels"] = f"{wheels}/wheels/{component}/"
    return moved


def _archive(component: str, version: str, architecture: str, archive: Any, url: str) -> Any:
    if not isinstance(archive, Mapping):
        return archive
    parts = urlsplit(str(archive.get("url", "")))
    if parts.scheme not in ("http", "https"):
        return archive
    name = unquote(parts.path).rpartition("/")[2]
    return {**archive, "url": f"{url}/files/{component}/{version}/{architecture}/{quote(name)}"}


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
