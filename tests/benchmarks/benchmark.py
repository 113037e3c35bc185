"""Measure the first and the second run of site.yml: evaluated tasks per host, seconds, CPU of the controller, memory.

benchmark.py --gate      the lab's own site: fails on one task more or less than tasks.yml says, on a slow second run
benchmark.py --record    the same, and writes tasks.yml and the tables of the data tier in docs/benchmarks.md
benchmark.py             1, 5 and 20 hosts, then the lab's own site: writes all tables of docs/benchmarks.md
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import yaml

from lab import scratch
from lab.cgroups import members_of
from lab.runs import Run

ROOT = Path(__file__).resolve().parents[2]
EXPECTED = Path(__file__).with_name("tasks.yml")
PAGE = ROOT / "docs" / "benchmarks.md"
LAB = ROOT / "inventories" / "lab"
DATA_GROUPS = {"database", "cache", "objects", "witness"}
SIZES = (1, 5, 20)
GROUND = ("Check the inventory", "Check the hosts", "Harden the hosts", "Separate the zones")
DATA = (
    *("Prepare the data hosts", "Run etcd", "Run PostgreSQL", "Run Redis"),
    *("Give every service its one address", "Run the object store"),
)
PARTS = {"ground": GROUND, "data tier": DATA}
MOST_TASKS = {"Harden the hosts": 32, "ground": 45, "data tier": 60}
# The goal of the ground is 60 s on two idle cores; twice that is not the machine's mood but a change that made it slow.
MOST_SECONDS_OF_SECOND_RUN = {"ground": 120, "data tier": 90}
# What a run leaves behind, such as a first checkpoint, is over by then.
IDLE_SECONDS = 30
HEAD = (
    "| hosts | run | evaluated tasks per host | changes | seconds | controller CPU s | CPU s per host |\n"
    "|---:|---|---:|---:|---:|---:|---:|\n"
)
HEAD_OF_STAGES = (
    "| stage | seconds, first run | second run | evaluated tasks per host, first run | second run |\n"
    "|---|---:|---:|---:|---:|\n"
)
HEAD_OF_MEMORY = "| host | groups | memory in MiB |\n|---|---|---:|\n"


@dataclass(frozen=True)
class Site:
    """A site after two runs. `memory`: bytes that the processes of each data host hold, by its name and groups."""

    first: Run
    second: Run
    memory: dict[tuple[str, str], int]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gate", action="store_true")
    parser.add_argument("--record", action="store_true")
    asked = parser.parse_args()
    if asked.gate or asked.record:
        return gate(asked.record)
    write("benchmark", HEAD + "".join(row for size in SIZES for row in measured(size)))
    write_data_tier(two_runs(LAB))
    return 0


def gate(record: bool) -> int:
    site = two_runs(LAB)
    first, second = site.first, site.second
    counted = {"first run": tasks(first), "second run": tasks(second)}
    if record:
        EXPECTED.write_text("---\n# Written by `make benchmark-record`.\n" + yaml.safe_dump(counted, sort_keys=False))
        write_data_tier(site)
    wrong = []
    expected = yaml.safe_load(EXPECTED.read_text(encoding="utf-8"))
    for run, stages in counted.items():
        for stage, count in stages.items():
            if count != expected[run].get(stage):
                wrong.append(f"{run}, {stage}: {count} evaluated tasks, tasks.yml says {expected[run].get(stage)}")
            if count > MOST_TASKS.get(stage, count):
                wrong.append(f"{run}, {stage}: {count} evaluated tasks, at most {MOST_TASKS[stage]} are allowed")
    if second.total_changed:
        wrong.append(f"second run: {second.total_changed} changes, none are allowed: {sorted(second.changed)}")
    for part, most in MOST_SECONDS_OF_SECOND_RUN.items():
        seconds = seconds_of(second, PARTS[part])
        if seconds > most:
            wrong.append(f"second run, {part}: {seconds:.0f} s, at most {most} s are allowed")
    for line in wrong:
        print(line)
    for name, run in (("first run", first), ("second run", second)):
        print(f"{name}: {run.seconds:.0f} s, controller CPU {run.cpu_seconds:.0f} s, {counted[name]}")
    return 1 if wrong else 0


def tasks(run: Run) -> dict[str, int]:
    """The most tasks that one host evaluated, by stage and together."""
    counted = {stage.name: max(stage.evaluated.values(), default=0) for stage in run.stages}
    for part, names in PARTS.items():
        together = sum((stage.evaluated for stage in run.stages if stage.name in names), Counter())
        counted[part] = max(together.values(), default=0)
    return {**counted, "together": max(run.evaluated.values())}


def seconds_of(run: Run, stages: tuple[str, ...]) -> float:
    return sum(stage.seconds for stage in run.stages if stage.name in stages)


def measured(size: int) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        site = two_runs(inventory_of(size, Path(folder)))
    rows = []
    for name, run in (("first", site.first), ("second", site.second)):
        rows.append(
            f"| {size} | {name} | {max(run.evaluated.values())} | {run.total_changed} | {run.seconds:.0f} "
            f"| {run.cpu_seconds:.0f} | {run.cpu_seconds / size:.1f} |\n"
        )
        print(rows[-1], end="", flush=True)
    return rows


def two_runs(inventory: Path) -> Site:
    """Bring the lab of the inventory up afresh and run site.yml twice."""
    with scratch.running(inventory) as site:
        return Site(successful(site), successful(site), memory(site))


def memory(site: scratch.Site) -> dict[tuple[str, str], int]:
    hosts = [host for host in site.lab.hosts if set(host.groups) & DATA_GROUPS]
    if hosts:
        time.sleep(IDLE_SECONDS)
    members = members_of(site.lab.name)
    return {(host.name, ", ".join(host.groups)): members.memory(host.name) for host in hosts}


def successful(site: scratch.Site) -> Run:
    run = site.play()
    if run.status != "successful":
        for failure in run.failures:
            print(f"{failure.host}, {failure.task}: {failure.message}")
        sys.exit(f"site.yml failed on {site.inventory}")
    return run


def inventory_of(size: int, folder: Path) -> Path:
    """A site of `size` hosts like the lab's own: a gateway, a control plane, and workers."""
    groups = {"control_plane": ["cp1"]}
    if size > 2:
        groups = {
            "gateway": ["gateway1"],
            "control_plane": ["cp1"],
            "workers": [f"worker{number}" for number in range(1, size - 1)],
        }
    subnet = {"gateway": "10.87.1", "control_plane": "10.87.2", "workers": "10.87.2"}
    first = {"gateway": 11, "control_plane": 11, "workers": 21}
    zone = {"gateway": "dmz", "control_plane": "app", "workers": "app"}
    hosts: dict = {}
    for group, names in groups.items():
        members = {
            name: {"ansible_host": f"{subnet[group]}.{first[group] + number}"} for number, name in enumerate(names)
        }
        hosts.setdefault(zone[group], {"children": {}})["children"][group] = {"hosts": members}
    return scratch.copy_of_example(folder, "bench", "87", tree=hosts)


def write_data_tier(site: Site) -> None:
    counted = [tasks(run) for run in (site.first, site.second)]
    rows = []
    for name, stages in (*((stage, (stage,)) for stage in DATA), ("data tier", DATA)):
        cells = [f"{seconds_of(run, stages):.0f}" for run in (site.first, site.second)]
        rows.append(f"| {name} | {' | '.join([*cells, *(str(stage[name]) for stage in counted)])} |\n")
    held = [f"| {host} | {groups} | {used >> 20} |\n" for (host, groups), used in site.memory.items()]
    write("data tier", f"{HEAD_OF_STAGES}{''.join(rows)}\n{HEAD_OF_MEMORY}{''.join(held)}")


def write(part: str, text: str) -> None:
    """Replace a part of the page, which stands between two comments."""
    begin, end = f"<!-- {part}: begin -->\n", f"<!-- {part}: end -->\n"
    before, rest = PAGE.read_text(encoding="utf-8").split(begin)
    after = rest.split(end)[1]
    PAGE.write_text(f"{before}{begin}{text}{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
