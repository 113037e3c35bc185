"""Sites of a test's own: the lab's example site under another name, in another network, with fewer or other hosts."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from . import topology
from .runs import Run, play

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "inventories" / "lab"
# The group without which an endpoint of the example has no home.
HOMES = {
    "gateway": "gateway",
    "kube-api": "control_plane",
    "postgres": "database",
    "redis": "cache",
    "s3": "objects",
}
LAB = str(ROOT / "tests" / "lab" / "lab")


def copy_of_example(
    folder: Path, name: str, network: str, keep: Iterable[str] = (), tree: dict[str, Any] | None = None
) -> Path:
    """Copy the lab's inventory to `folder` as site `name` in 10.`network`.0.0/16.

    With the hosts to `keep`, or with another `tree` of groups, or as it is.
    """
    shutil.copytree(EXAMPLE, folder, symlinks=True, dirs_exist_ok=True)
    for path in folder.rglob("*.yml"):
        text = path.read_text(encoding="utf-8").replace("10.77.", f"10.{network}.")
        path.write_text(text.replace("site_name: lab\n", f"site_name: {name}\n"), encoding="utf-8")
    hosts = folder / "hosts.yml"
    if keep:
        tree = only(load(hosts), set(keep))
    if tree:
        dump(hosts, tree)
        variables = load(folder / "group_vars/all/site.yml")
        present = {group for zone in tree.values() for group in zone["children"]}
        endpoints = variables["site_endpoints"]
        variables["site_endpoints"] = {key: value for key, value in endpoints.items() if HOMES[key] in present}
        dump(folder / "group_vars/all/site.yml", variables)
        if "objects" not in present:
            waivers = load(folder / "group_vars/all/preflight.yml")
            waiver = {"check": "storage-objects", "reason": "A part of the lab runs no Dify"}
            waivers["preflight_waivers"].append(waiver)
            dump(folder / "group_vars/all/preflight.yml", waivers)
    return folder


def with_kubernetes(folder: Path) -> Path:
    """Let the control planes and workers of an inventory be nodes that run pods."""
    dump(folder / "group_vars/all/lab_kubernetes.yml", {"lab_kubernetes": True, "lab_artifacts": [], "lab_disk": "6G"})
    return folder


def load(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def dump(path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def only(tree: dict[str, Any], names: set[str]) -> dict[str, Any]:
    """The groups of an inventory with the named hosts alone, without those that have none of them."""
    kept: dict[str, Any] = {}
    for group, content in tree.items():
        children = only(content.get("children") or {}, names)
        hosts = {host: values for host, values in (content.get("hosts") or {}).items() if host in names}
        if children or hosts:
            kept[group] = {key: value for key, value in (("children", children), ("hosts", hosts)) if value}
    return kept


class Site:
    """A running lab and the playbooks run on it."""

    def __init__(self, inventory: Path) -> None:
        self.inventory = inventory
        self.lab = topology.read(str(inventory))

    @property
    def folder(self) -> Path:
        return self.lab.cache / "runs" / self.lab.name

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [LAB, "--inventory", str(self.inventory), *words], capture_output=True, text=True, check=False
        )

    def ssh(self, host: str, command: str) -> subprocess.CompletedProcess[str]:
        return self.command("ssh", host, command)

    def play(self, playbook: str = "site.yml", **options: Any) -> Run:
        return play(playbook, self.inventory, folder=self.folder, **options)

    def up(self) -> None:
        done = self.command("up")
        assert done.returncode == 0, done.stdout + done.stderr

    def down(self) -> None:
        done = self.command("down")
        assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def running(inventory: Path) -> Iterator[Site]:
    """A lab that is fresh, and gone afterwards."""
    site = Site(inventory)
    site.down()
    site.up()
    try:
        yield site
    finally:
        site.down()
