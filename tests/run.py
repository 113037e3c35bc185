"""Run the project's tests step by step: what runs, how long it took, what failed. `make test` and CI call it.

run.py [--full] [STEP...]     steps by name or by what stands before the dash (gates, unit, molecule ...)
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from lab.scratch import copy_of_example

ROOT = Path(__file__).resolve().parents[1]
# A step that hangs is a step that failed, and the steps after it still run.
MOST_SECONDS = {"normal": 1800, "full": 7200}
LOGS = Path(os.environ.get("LAB_CACHE") or Path.home() / ".cache" / "onprem-dify") / "logs"


@dataclass(frozen=True)
class Step:
    name: str
    command: str
    suite: str = ""
    hosts: tuple[str, ...] = ()
    full: bool = False


# Molecule remembers the machines of a run that was broken off: they go first.
HARDEN = "molecule destroy -s default && molecule test -s harden"
ZONES = f"{HARDEN} -s segment"
DATA = f"{ZONES} -s data"
STEPS = (
    Step("gates-yamllint", "yamllint --strict ."),
    Step("gates-ruff", "ruff check . && ruff format --check ."),
    Step("gates-mypy", "tests/gates/types.sh"),
    Step("gates-docs", "python tests/docs/generate.py --check && antsibull-changelog lint"),
    Step("gates-ansible-lint", "ansible-lint --strict"),
    Step("gates-ansible-doc", "python tests/gates/ansible_doc.py"),
    Step("gates-sanity", "tests/gates/sanity.sh"),
    Step("unit", "pytest -q tests/unit"),
    Step("collection", "pytest -q tests/acceptance/test_collection.py"),
    Step("gateway", "pytest -q tests/acceptance/test_gateway.py"),
    Step("bundle-build", "pytest -q tests/acceptance/test_bundle_build.py"),
    Step("bundle-pins", "pytest -q tests/acceptance/test_bundle_pins.py"),
    Step("bundle-dnf", "pytest -q tests/acceptance/test_bundle_dnf.py"),
    Step("bundle-install", "pytest -q tests/acceptance/test_bundle_install.py"),
    Step("bundle-commands", "pytest -q tests/acceptance/test_bundle_commands.py"),
    Step("mirror-registry", "pytest -q tests/acceptance/test_mirror_registry.py"),
    Step("release", "pytest -q tests/acceptance/test_release.py"),
    Step("bundle-benchmark", "python tests/benchmarks/bundle.py --gate"),
    Step("lab", "pytest -q tests/acceptance/test_lab.py"),
    Step("molecule-preflight", "molecule destroy -s preflight && molecule test -s preflight"),
    Step("molecule-debian12", DATA, "bookworm"),
    Step("molecule-debian13", HARDEN, "trixie", hosts=("gateway1", "worker1", "db1")),
    Step("acceptance-dry-run", "pytest -q tests/acceptance/test_check_mode.py"),
    Step("benchmark", "python tests/benchmarks/benchmark.py --gate"),
    Step("acceptance-kubernetes-reset", "pytest -q tests/acceptance/test_kubernetes_reset.py"),
    Step("lab-kubernetes", "pytest -q tests/acceptance/test_lab_kubernetes.py", full=True),
    Step("acceptance-kubernetes-drain", "pytest -q tests/acceptance/test_kubernetes_drain.py", full=True),
    Step("molecule-debian13-zones", ZONES, "trixie", full=True),
    Step("acceptance-no-lockout", "pytest -q tests/acceptance/test_no_lockout_*.py", full=True),
    Step("acceptance-killed", "KILLS=10 pytest -q tests/acceptance/test_killed_controller.py", full=True),
    Step("molecule-selinux", "molecule destroy -s selinux && molecule test -s selinux", full=True),
    Step("acceptance-data-killed", "pytest -q tests/acceptance/test_data_killed.py", full=True),
    Step("acceptance-data-topologies", "pytest -q tests/acceptance/test_data_topologies.py", full=True),
    Step("acceptance-dify-objects", "pytest -q tests/acceptance/test_dify_objects.py", full=True),
    Step("acceptance-dify-dry-run", "pytest -q tests/acceptance/test_dify_dry_run.py", full=True),
    Step("acceptance-dify-equipment", "pytest -q tests/acceptance/test_dify_equipment.py", full=True),
    Step("acceptance-pki", "pytest -q tests/acceptance/test_pki.py", full=True),
    Step("acceptance-external", "pytest -q tests/acceptance/test_external.py", full=True),
    Step("acceptance-storage", "pytest -q tests/acceptance/test_storage.py", full=True),
    Step("acceptance-storage-classes", "pytest -q tests/acceptance/test_storage_classes.py", full=True),
    Step("acceptance-ceph", "pytest -q tests/acceptance/test_ceph_contract.py", "trixie", full=True),
    Step("faults-postgresql", "pytest -q tests/acceptance/test_postgresql_faults.py", full=True),
    Step("faults-redis", "pytest -q tests/acceptance/test_redis_faults.py", full=True),
    Step("faults-endpoint", "pytest -q tests/acceptance/test_endpoint_faults.py", full=True),
    Step("faults-gateway", "pytest -q tests/acceptance/test_gateway_faults.py", full=True),
    Step("faults-objects", "pytest -q tests/acceptance/test_objects_faults.py", full=True),
    Step("molecule-mirror", "molecule destroy -s mirror && molecule test -s mirror", full=True),
    Step("molecule-cluster", "molecule destroy -s cluster && molecule test -s cluster", full=True),
    Step("acceptance-control-plane", "pytest -q tests/acceptance/test_control_plane_alone.py", full=True),
    Step("faults-mirror", "pytest -q tests/acceptance/test_mirror_faults.py", full=True),
    Step("benchmark-full", "python tests/benchmarks/benchmark.py", full=True),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("steps", nargs="*", metavar="STEP")
    parser.add_argument("--full", action="store_true", help="the long steps too")
    asked = parser.parse_args()
    chosen = [step for step in STEPS if wanted(step, asked.steps, asked.full)]
    if not chosen:
        parser.error(f"no such step; there are {', '.join(step.name for step in STEPS)}")

    LOGS.mkdir(parents=True, exist_ok=True)
    failed = [step.name for number, step in enumerate(chosen, 1) if not passed(step, number, len(chosen))]
    for name in failed:
        print(f"failed: {name}, see {LOGS / name}.log")
    print(f"{len(chosen) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


def wanted(step: Step, names: list[str], full: bool) -> bool:
    if not names:
        return full or not step.full
    return any(step.name == name or step.name.startswith(f"{name}-") for name in names)


def passed(step: Step, number: int, total: int) -> bool:
    print(f"[{number:2}/{total}] {step.name:24}", end="", flush=True)
    log = LOGS / f"{step.name}.log"
    environment = {**os.environ, "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"}
    environment["PYTHONPATH"] = str(ROOT / "tests")
    environment["ANSIBLE_CONFIG"] = str(ROOT / "ansible.cfg")
    if step.suite:
        environment["LAB_SUITE"] = step.suite
    if step.hosts:
        folder = LOGS.parent / "inventories" / step.name
        shutil.rmtree(folder, ignore_errors=True)
        environment["LAB_INVENTORY"] = str(copy_of_example(folder, "lab13", "76", step.hosts))
    shell = ["/bin/bash", "-c", step.command]
    started = time.monotonic()
    with log.open("w", encoding="utf-8") as output:
        done = subprocess.run(
            ["timeout", "--kill-after=60", str(MOST_SECONDS["full" if step.full else "normal"]), *shell],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    seconds = time.monotonic() - started
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    if done.returncode == 0:
        print(f"ok   {seconds:6.0f} s   {summary(lines)}", flush=True)
        return True
    print(f"FAIL {seconds:6.0f} s", flush=True)
    print("\n".join(f"    {line[:300]}" for line in lines[-60:]), flush=True)
    return False


def summary(lines: list[str]) -> str:
    """The closing line of a test runner says how many tests there were."""
    return lines[-1][:100] if lines and " passed" in lines[-1] else ""


if __name__ == "__main__":
    sys.exit(main())
