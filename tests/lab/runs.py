"""Run playbooks through ansible-runner and read its events: the way of the demo, the benchmarks and the kill tests.

The project layout is ansible-runner's own: ``project`` (the playbooks), ``env`` (settings of the run) and ``artifacts``
(one folder a run with its events). A site's operations host uses the same layout for its scheduled drills.
"""

from __future__ import annotations

import os
import resource
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ansible_runner

# What `Counts` calls it, and what Ansible's closing event does.
RECAP = {"ok": "ok", "changed": "changed", "skipped": "skipped", "failed": "failures", "unreachable": "dark"}
PROJECT = Path(__file__).resolve().parents[2]


@dataclass
class Counts:
    """What happened on one host, as the recap counts it."""

    ok: int = 0
    changed: int = 0
    skipped: int = 0
    failed: int = 0
    unreachable: int = 0

    @property
    def evaluated(self) -> int:
        return self.ok + self.skipped + self.failed + self.unreachable


@dataclass
class Stage:
    """One play: seconds from its first event to the next play's, its results, and the tasks each host evaluated."""

    name: str
    started: float
    seconds: float = 0.0
    tasks: int = 0
    changed: int = 0
    evaluated: Counter[str] = field(default_factory=Counter)


@dataclass
class Failure:
    host: str
    task: str
    message: str


@dataclass
class Run:
    playbook: str
    rc: int = 0
    status: str = ""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    hosts: dict[str, Counts] = field(default_factory=dict)
    stages: list[Stage] = field(default_factory=list)
    changed: set[tuple[str, str]] = field(default_factory=set)
    failures: list[Failure] = field(default_factory=list)

    @property
    def total_changed(self) -> int:
        return sum(counts.changed for counts in self.hosts.values())

    @property
    def evaluated(self) -> dict[str, int]:
        return {host: counts.evaluated for host, counts in self.hosts.items()}


class Reader:
    """Turns the events of one run into a `Run`; ``show`` is told each task that starts."""

    def __init__(self, run: Run, show: Callable[[Stage, str], None] | None) -> None:
        self.run = run
        self.show = show

    def __call__(self, event: dict[str, Any]) -> bool:
        data = event.get("event_data", {})
        handler = getattr(self, event["event"], None)
        if handler:
            handler(data)
        return True

    def playbook_on_play_start(self, data: dict[str, Any]) -> None:
        self._end_stage()
        self.run.stages.append(Stage(name=data.get("name") or data.get("play", ""), started=time.monotonic()))

    def playbook_on_task_start(self, data: dict[str, Any]) -> None:
        if self.run.stages:
            self.run.stages[-1].tasks += 1
            if self.show:
                self.show(self.run.stages[-1], _task(data))

    playbook_on_handler_task_start = playbook_on_task_start

    def runner_on_skipped(self, data: dict[str, Any]) -> None:
        self.run.stages[-1].evaluated[data["host"]] += 1

    def runner_on_ok(self, data: dict[str, Any]) -> None:
        self.run.stages[-1].evaluated[data["host"]] += 1
        if data.get("res", {}).get("changed"):
            self.run.changed.add((data["host"], _task(data)))
            self.run.stages[-1].changed += 1

    def runner_on_failed(self, data: dict[str, Any]) -> None:
        self.run.stages[-1].evaluated[data["host"]] += 1
        if not data.get("ignore_errors"):
            message = data.get("res", {}).get("msg", "")
            self.run.failures.append(Failure(data["host"], _task(data), str(message)))

    runner_on_unreachable = runner_on_failed

    def playbook_on_stats(self, data: dict[str, Any]) -> None:
        self._end_stage()
        for name, key in RECAP.items():
            for host, count in data.get(key, {}).items():
                setattr(self.run.hosts.setdefault(host, Counts()), name, count)

    def _end_stage(self) -> None:
        if self.run.stages:
            stage = self.run.stages[-1]
            stage.seconds = time.monotonic() - stage.started


def play(
    playbook: str | Path,
    inventory: str | Path,
    *,
    folder: str | Path,
    check: bool = False,
    limit: str | None = None,
    extra_vars: dict[str, Any] | None = None,
    show: Callable[[Stage, str], None] | None = None,
    environment: dict[str, str] | None = None,
) -> Run:
    """Run ``playbook`` on ``inventory``; ``folder`` is the runner's private data directory and keeps the artifacts."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    project = folder / "project"
    if not project.is_symlink():
        project.symlink_to(PROJECT)
    # The runner prefers the variables and the command line that an earlier run left in its folder.
    shutil.rmtree(folder / "env", ignore_errors=True)
    run = Run(playbook=str(playbook))
    before, started = _child_cpu(), time.monotonic()
    result = ansible_runner.run(
        private_data_dir=str(folder),
        project_dir=str(PROJECT),
        playbook=str(playbook),
        inventory=[str(Path(inventory).resolve())],
        limit=limit,
        extravars=extra_vars or {},
        cmdline="--check --diff" if check else None,
        envvars={"ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"), "PATH": os.environ["PATH"], **(environment or {})},
        event_handler=Reader(run, show),
        quiet=True,
        rotate_artifacts=20,
    )
    run.rc, run.status = result.rc, result.status
    run.seconds = time.monotonic() - started
    run.cpu_seconds = _child_cpu() - before
    return run


def _child_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _task(data: dict[str, Any]) -> str:
    role = data.get("role", "")
    name = data.get("task", "") or data.get("name", "")
    return f"{role.removeprefix('onprem.dify.')}: {name}" if role else name
