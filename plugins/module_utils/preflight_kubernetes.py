# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of an inventory: what a Kubernetes cluster needs of it."""

from __future__ import annotations

from typing import Any, Dict, Iterator, Mapping

from ansible_collections.onprem.dify.plugins.module_utils.preflight_model import NOT_SET, SITE, Finding, Inventory

CHECKS = {
    "kubernetes-api": "The API of several control planes has one address",
    "kubernetes-etcd": "No host has the etcd of Kubernetes and that of the databases",
    "kubernetes-pins": "All parts of Kubernetes have one version",
}

# They come from one release.
PARTS = ("kubeadm", "kubectl", "kubelet", "kubernetes")


def findings(inventory: Inventory) -> Iterator[Finding]:
    control_planes = inventory.members("control_plane")
    if not control_planes:
        return
    yield from _address(inventory, len(control_planes))
    yield from _etcd(inventory)
    yield from _pins(inventory)


def version(inventory: Inventory, component: str) -> str:
    """The version of a component that the site runs; empty if nobody gives one."""
    own: Any = inventory.setting("site_pins").get(component)
    given = own.get("version") if isinstance(own, Mapping) else None
    return str(given or inventory.pins.get(component, ""))


def _address(inventory: Inventory, number: int) -> Iterator[Finding]:
    given = inventory.setting("site_endpoints").get("kube-api") or inventory.setting("site_services").get("kube-api")
    if number > 1 and not given:
        wanted = f"a free address in the network of zone app, as control_plane has {number} hosts"
        yield Finding("kubernetes-api", SITE, "site_endpoints.kube-api", NOT_SET, wanted)


def _etcd(inventory: Inventory) -> Iterator[Finding]:
    databases = {*inventory.members("database"), *inventory.members("witness")}
    for host in inventory.members("control_plane"):
        if host in databases:
            wanted = "one of the two, as each has an etcd of its own at the same ports"
            yield Finding("kubernetes-etcd", host, "its groups", "control_plane beside database or witness", wanted)


def _pins(inventory: Inventory) -> Iterator[Finding]:
    versions: Dict[str, str] = {part: version(inventory, part) for part in PARTS}
    for part, found in versions.items():
        if found and found != versions["kubeadm"]:
            wanted = f"{versions['kubeadm']}, the version of kubeadm"
            yield Finding("kubernetes-pins", SITE, f"site_pins.{part}.version", found, wanted)
