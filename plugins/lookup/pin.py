# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pins of the bundle, as one host of the site sees them."""

from __future__ import annotations

DOCUMENTATION = r"""
name: pin
short_description: Look up which version of a component the site runs
version_added: 0.2.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Reads the pins that come with the collection in C(bundle) and joins what the site says in the variable C(site_pins).
  - A site that names another version loses packages, archives and hashes of the delivered one, and gives its own.
  - Where the site has mirrors with a bundle, the addresses of archives and wheels are those on the mirrors.
  - Fails if a component is unknown, and if C(site_pins) speaks of one that is unknown or is malformed.
options:
  _terms:
    description: Names of components. All without any.
    type: list
    elements: str
  archive:
    description: Whether an archive for the architecture of the host is needed. Fails where none has a known checksum.
    type: bool
    default: false
  wheels:
    description: Whether hash-locked wheels are needed. Fails where C(requirements) or C(wheels) is not given.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Install HAProxy at its pinned version and hold it
  onprem.dify.package_set:
    manager: "{{ ansible_facts['pkg_mgr'] }}"
    versions: "{{ lookup('onprem.dify.pin', 'haproxy').package_versions }}"

- name: Install etcd from its pinned archive
  onprem.dify.release:
    pin: "{{ lookup('onprem.dify.pin', 'etcd', archive=true) }}"
    strip_components: 1
    links: {etcd: etcd, etcdctl: etcdctl}
"""

RETURN = r"""
_list:
  description:
    - One dictionary for each component, with the fields of its file in C(bundle).
    - C(package_version) is the version of its packages on the operating system of the host, C(version) where the pin
      does not name this system.
    - C(package_versions) holds that version for each of its packages. It is missing where the pin does not know what
      they are called on this system.
    - C(ca_path) is the file on the host with the authority of the mirrors, where the site has one with a bundle.
    - C(archive) holds C(sha256) of the archive for the architecture of the host and its addresses, C(urls), in the
      order in which they are asked, if O(archive) was true.
    - C(wheel_links) holds the folders or pages with the wheels, in that order, if O(wheels) was true.
  type: list
  elements: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

from ansible_collections.onprem.dify.plugins.module_utils import mirror_clients, pins
from ansible_collections.onprem.dify.plugins.plugin_utils import collection_files
from ansible_collections.onprem.dify.plugins.plugin_utils.plain import plain


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: Mapping[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        self.set_options(var_options=variables, direct=kwargs)
        variables = variables or {}
        site = plain(self._templar.template(variables.get("site_pins") or {}))
        host = pins.Host(plain(variables.get("ansible_facts") or {}))
        mirror = plain(self._templar.template((variables.get("site_facts") or {}).get("mirror") or {}))
        bundle = collection_files.bundle()
        name = str(variables.get("inventory_hostname", ""))
        archive, wheels = (bool(self.get_option(kind)) for kind in ("archive", "wheels"))
        try:
            found = [pins.select(bundle, site, str(term), host) for term in (terms or bundle)]
            for pin in found:
                if archive:
                    pin["archive"] = mirror_clients.archive(pin, host, mirror, name)
                if wheels:
                    pin["wheel_links"] = mirror_clients.wheel_links(pin, mirror, name)
        except pins.PinError as error:
            raise AnsibleError(str(error)) from error
        return [{**pin, "ca_path": mirror["ca_file"]} for pin in found] if mirror else found
