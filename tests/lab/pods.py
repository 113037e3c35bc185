"""Nodes that run pods: what a container runtime needs of a machine, and what the lab's own computer forces besides.

Such a node is not in a user namespace. Its root could harm the computer, so only a site that asks for it gets one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import cgroups

SYS_RESOURCE = 24
# What nothing in a node has to do with: the computer's clock, its modules and its ports.
WITHHELD = "CAP_SYS_MODULE,CAP_SYS_RAWIO,CAP_SYS_TIME,CAP_WAKE_ALARM"
# Settings that kubelet writes or wants to find. In a node they are plain files: the computer's own stay as they are.
SETTINGS = {"vm/overcommit_memory": "1", "kernel/panic": "10", "kernel/panic_on_oops": "1"}
FOLDER = "etc/onprem-lab/pods"
UNIT = f"""\
[Unit]
Description=What a lab node needs to run pods
DefaultDependencies=no
Before=local-fs-pre.target
Wants=local-fs-pre.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh /{FOLDER}/setup

[Install]
WantedBy=sysinit.target
"""
UNIT_NAME = "onprem-lab-pods.service"
# A boot finds the cgroups of the boot before, and kubelet waits for them to end.
SETUP_VERSION_1 = """\
for hierarchy in /sys/fs/cgroup/*/; do
  mount -o remount,bind,rw "$hierarchy"
  find "$hierarchy" -mindepth 1 -depth -type d -path '*kubepods*' -exec rmdir {} +
done
"""
# Of containerd: what it starts is never killed later than itself, as lowering that number is not allowed here.
RUNTIME = 'version = 3\n[plugins."io.containerd.cri.v1.runtime"]\nrestrict_oom_score_adj = true\n'


@dataclass(frozen=True)
class Machine:
    """What the computer is like, as far as pods notice."""

    cgroup_version: int
    may_lower_oom_score: bool
    has_swap: bool


def this_machine() -> Machine:
    status = Path("/proc/self/status").read_text()
    capabilities = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), 16)
    return Machine(
        cgroup_version=1 if "memory" in cgroups.hierarchies() else 2,
        may_lower_oom_score=bool(capabilities >> SYS_RESOURCE & 1),
        has_swap=len(Path("/proc/swaps").read_text().splitlines()) > 1,
    )


def environment(machine: Machine) -> dict[str, str]:
    unified = "1" if machine.cgroup_version == 2 else "0"
    return {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": unified, "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"}


def options() -> list[str]:
    """Options of systemd-nspawn."""
    return ["--capability=all", f"--drop-capability={WITHHELD}", "--system-call-filter=@keyring"]


def boot_parameters(machine: Machine) -> list[str]:
    """What the systemd of the node is told."""
    if machine.cgroup_version == 2:
        return []
    return ["systemd.unified_cgroup_hierarchy=0", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"]


def files(machine: Machine) -> Mapping[str, str]:
    """Files of the node by path, from its root."""
    found = {f"etc/systemd/system/{UNIT_NAME}": UNIT, f"{FOLDER}/setup": setup(machine)}
    found |= {f"{FOLDER}/{name.replace('/', '.')}": f"{value}\n" for name, value in SETTINGS.items()}
    if machine.has_swap:
        found[f"{FOLDER}/swaps"] = "Filename\tType\tSize\tUsed\tPriority\n"
    if machine.cgroup_version == 1:
        found["etc/default/kubelet"] = "KUBELET_EXTRA_ARGS=--fail-cgroupv1=false\n"
    if not machine.may_lower_oom_score:
        found["etc/containerd/conf.d/90-lab.toml"] = RUNTIME
    return found


def setup(machine: Machine) -> str:
    """What the node does before anything else of it runs."""
    lines = ["set -e", "test -e /dev/kmsg || mknod -m 600 /dev/kmsg c 1 3"]
    lines += [f"mount --bind /{FOLDER}/{name.replace('/', '.')} /proc/sys/{name}" for name in SETTINGS]
    if machine.has_swap:
        lines.append(f"mount --bind /{FOLDER}/swaps /proc/swaps")
    return "\n".join(lines) + "\n" + (SETUP_VERSION_1 if machine.cgroup_version == 1 else "")


def variables(machine: Machine) -> dict[str, Any]:
    """What the inventory of the site takes from here."""
    return {
        "ignore_preflight_errors": ["SystemVerification"] if machine.cgroup_version == 1 else [],
        # The table of connections is the computer's, and a node may not change its size.
        "kube_proxy": {"conntrack": {"maxPerCore": 0}},
    }
