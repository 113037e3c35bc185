"""Bring up the lab, run site.yml on it as an operator would, and show what came of it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from lab import topology
from lab.runs import Run, Stage, play

ROOT = Path(__file__).resolve().parents[1]
INVENTORY = ROOT / "inventories" / "lab"


class Progress:
    """One line that moves on a terminal; one line a stage elsewhere."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.live = sys.stdout.isatty()
        self.stage = ""

    def __call__(self, stage: Stage, task: str) -> None:
        seconds = time.monotonic() - self.started
        if stage.name != self.stage:
            self.stage = stage.name
            print(f"{self.clear}[{seconds:4.0f} s] {stage.name}", flush=True)
        if self.live:
            print(f"{self.clear}[{seconds:4.0f} s]   {task[:90]}", end="", flush=True)

    def end(self) -> None:
        print(self.clear, end="", flush=True)

    @property
    def clear(self) -> str:
        return "\r\033[K" if self.live else ""


def main() -> int:
    print("==> Bringing up the lab", flush=True)
    if subprocess.run([ROOT / "tests/lab/lab", "up"], check=False).returncode:
        return 1
    site = topology.read(str(INVENTORY))

    print("\n==> ansible-playbook site.yml -i inventories/lab", flush=True)
    progress = Progress()
    run = play("site.yml", INVENTORY, folder=site.cache / "runs" / site.name, show=progress)
    progress.end()
    print(page(site, run))
    return 0 if run.status == "successful" else 1


def page(site: topology.Lab, run: Run) -> str:
    lines = ["", f"Site {site.name}: {len(run.hosts)} hosts", ""]
    lines += table(
        ("host", "address", "groups", "tasks", "changed", "failed"),
        [
            (
                host.name,
                host.address,
                ", ".join(host.groups),
                *counts(run, host.name),
            )
            for host in site.hosts
        ],
    )
    lines += ["", "What each stage did", ""]
    lines += table(
        ("stage", "seconds", "tasks", "changes on hosts"),
        [(stage.name, f"{stage.seconds:.1f}", stage.tasks, stage.changed) for stage in run.stages],
    )
    lines += ["", f"Together {run.seconds:.0f} s, {run.total_changed} changes."]
    if run.failures:
        lines += ["", "Failed"]
        lines += [f"  {failure.host}, {failure.task}: {failure.message}" for failure in run.failures]
        return "\n".join(lines)
    lines += ["", *NEXT, ""]
    return "\n".join(lines)


NEXT = (
    "What to try next",
    "  make demo                                                     again: nothing changes",
    "  tests/lab/lab status                                          the machines",
    "  tests/lab/lab ssh db1                                         look around on one",
    "  .venv/bin/ansible-playbook playbooks/verify.yml -i inventories/lab   the evidence for the auditor",
    "  .venv/bin/ansible-playbook playbooks/probe.yml -i inventories/lab    every door of every host, tried",
    "  make down                                                     stop the machines",
)


def counts(run: Run, host: str) -> tuple[int, int, int]:
    found = run.hosts.get(host)
    return (found.evaluated, found.changed, found.failed + found.unreachable) if found else (0, 0, 0)


def table(head: tuple[str, ...], rows: list[tuple]) -> list[str]:
    texts = [head, *[tuple(str(cell) for cell in row) for row in rows]]
    widths = [max(len(row[column]) for row in texts) for column in range(len(head))]
    number = [all(isinstance(row[column], int) for row in rows) for column in range(len(head))]
    return [
        "  "
        + "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, number, strict=True)
        ).rstrip()
        for row in texts
    ]


if __name__ == "__main__":
    sys.exit(main())
