"""What takes the place of Dify in the lab works with the real data tier, given what the manifests give to containers.

All services run on the host of the data tier, one beside the other, with nothing of Kubernetes. `DATA_SITE` names the
inventory of a site that is there; without it one is built.
"""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from acceptance.test_data_topologies import installed, tree
from unit.plugins.module_utils import difys

from lab import scratch, ssh
from lab.artifacts import golang, store
from lab.artifacts.dify_contract import PROGRAM, release
from lab.artifacts.images import OWN
from lab.cgroups import members_of
from lab.progress import Progress
from lab.system import wait_until

# Those that live beside each other on one host; each has its image.
SERVICES = {
    "api": "api",
    "worker": "api",
    "beat": "api",
    "web": "web",
    "plugin-daemon": "plugin-daemon",
    "sandbox": "sandbox",
}
# Nobody is behind these.
NOBODY = {"agent-backend", "models", "packages", "smtp", "ssrf-proxy"}
START = """
import os, sys
folder, name, *words = sys.argv[1:]
environment = dict(line.split("=", 1) for line in open(f"{folder}/{name}").read().split("\\0") if line)
os.execve("/contract/contract", words, environment)
"""
STOP = "systemctl stop 'equipment-*'"
LIBRARY = "ansible_collections/onprem/dify/plugins/module_utils"


class DataHost:
    def __init__(self, site: scratch.Site) -> None:
        self.site = site
        self.host = next(host for host in site.lab.hosts if "database" in host.groups)
        self.secrets = difys.secrets("dify") | json.loads(site.lab.file_of_site("secrets").read_text())

    def run(self, script: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        words = ssh.command(self.site.lab, self.host, f"sudo bash -c {shlex.quote(script)}", batch=True)
        return subprocess.run(words, input=data, capture_output=True, check=False)

    def root(self, script: str, data: bytes = b"") -> str:
        done = self.run(script, data)
        assert done.returncode == 0, f"{script[:200]}: {done.stdout.decode()}{done.stderr.decode()}"
        return done.stdout.decode()

    def put(self, folder: str, files: dict[str, bytes]) -> None:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(content), 0o700
                tar.addfile(member, io.BytesIO(content))
        self.root(f"mkdir -p {folder} && tar -C {folder} -xf -", packed.getvalue())

    def get(self, port: int, path: str) -> Any:
        return json.loads(self.root(f"curl --silent --max-time 20 'http://127.0.0.1:{port}{path}'"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[scratch.Site]:
    if "DATA_SITE" in os.environ:
        yield scratch.Site(Path(os.environ["DATA_SITE"]))
        return
    folder = tmp_path_factory.mktemp("difydata") / "site"
    with scratch.running(scratch.copy_of_example(folder, "difydata", "91", tree=tree("91", ["db1"]))) as built:
        installed(built)
        yield built


def environments(host: DataHost, domain: str) -> dict[str, bytes]:
    found = {}
    for name, environment in difys.environments(at=difys.site(domain=domain), known=host.secrets).items():
        environment.update(PATH="/usr/bin:/bin", HOSTNAME=f"{name}-1")
        text = "\0".join(f"{key}={value}" for key, value in environment.items())
        # All are on this host.
        text = re.sub(r"http://([a-z-]+\.[a-z-]+\.svc|[0-9.]+):", "http://127.0.0.1:", text)
        found[name] = text.encode()
    return found


@pytest.fixture(scope="module")
def host(site: scratch.Site) -> Iterator[DataHost]:
    found = DataHost(site)
    domain = scratch.load(site.inventory / "group_vars/all/site.yml")["site_domain"]
    program = store.ensure(site.lab, members_of(site.lab.name), golang.artifact(OWN[PROGRAM]), Progress()) / "contract"
    authority = (site.lab.state / "pki/root.crt").read_bytes()
    found.root(f"{STOP}; rm -rf /contract /app; mkdir -p /app/api /app/storage/cwd")
    found.put("/contract", {"contract": program.read_bytes(), "release.json": json.dumps(release()).encode()})
    found.put("/etc/onprem-dify/authorities", {"ca.crt": authority})
    found.put("/run/equipment", {"start.py": START.encode(), **environments(found, domain)})
    library = difys.ROOT / "plugins/module_utils"
    for name in ("dify_console", "dify_revision", "postgresql_client"):
        found.put(f"/run/equipment/{LIBRARY}", {f"{name}.py": (library / f"{name}.py").read_bytes()})
    names = " ".join(f"{name}.{domain}" for name in ("postgres", "redis", "s3"))
    found.root(f"grep -q '{names}' /etc/hosts || echo '{found.host.address} {names}' >> /etc/hosts")
    # As before the first migration.
    found.root(
        "sudo -u postgres psql -q dify -c 'DROP TABLE IF EXISTS alembic_version, dify_setups, accounts, upload_files'"
    )
    try:
        yield found
    finally:
        found.root(f"{STOP}; rm -rf /contract /app /run/equipment")


def equipment(name: str, *words: str) -> str:
    return shlex.join(["python3", "/run/equipment/start.py", "/run/equipment", name, *words])


def product(host: DataHost, code: str) -> str:
    """Run code of the collection on the host."""
    lines = ["import sys", "sys.path.insert(0, '/run/equipment')", code]
    return host.root("python3 -", "\n".join(lines).encode()).strip()


REVISIONS = """
from ansible_collections.onprem.dify.plugins.module_utils import dify_revision
print(dify_revision.revisions({database!r}, open('/etc/onprem-dify/authorities/ca.crt').read(), 10))
"""
SETUP = """
from ansible_collections.onprem.dify.plugins.module_utils import dify_console
ask = dify_console.client('http://127.0.0.1:5001', 10)
print(dify_console.is_set_up(ask))
for gate in ('not-the-password', {gate!r}):
    try:
        dify_console.set_up(ask, gate, {administrator!r})
    except dify_console.ConsoleError as error:
        print(error)
print(dify_console.is_set_up(ask))
"""


@pytest.fixture(scope="module")
def database(host: DataHost) -> dict[str, Any]:
    (name,) = re.findall(r"DB_HOST=([^\0]+)", host.root("cat /run/equipment/api"))
    login = {"name": "dify", "user": "dify", "password": host.secrets["postgres_dify"]}
    return {"host": name, "address": host.host.address, "port": 5432, **login}


def test_nothing_runs_before_the_migration_and_the_database_says_so(host: DataHost, database: dict[str, Any]) -> None:
    refused = host.run(equipment("api", "contract", "api"))
    assert refused.returncode == 1
    assert b"api: the database was not migrated" in refused.stderr
    assert product(host, REVISIONS.format(database=database)) == "None"


def test_the_migration_ends_at_the_head_of_the_release(host: DataHost, database: dict[str, Any]) -> None:
    host.root(equipment("migration", "contract", "api"))
    host.root(equipment("migration", "contract", "api"))
    assert product(host, REVISIONS.format(database=database)) == str([release()["migration"]["head"]])


def test_a_container_with_one_setting_too_many_says_it_in_one_line(host: DataHost) -> None:
    host.root("(tr -d '\\n' < /run/equipment/api; printf '\\0EDITION=CLOUD') > /run/equipment/spoilt")
    refused = host.run(equipment("spoilt", "contract", "api"))
    assert refused.returncode == 1
    wanted = f"api: EDITION is not read by Dify {release()['version']}, wanted: DEPLOYMENT_EDITION\n"
    assert refused.stderr.decode() == wanted


@pytest.fixture(scope="module")
def running(host: DataHost) -> DataHost:
    for name, image in SERVICES.items():
        host.root(f"systemd-run --quiet --collect --unit=equipment-{name} {equipment(name, 'contract', image)}")
    healthy = "curl --silent --fail --max-time 2 http://127.0.0.1:5001/health"
    wait_until(lambda: host.run(healthy).returncode == 0, 60, "the API is healthy", 1)
    return host


def reports(host: DataHost) -> dict[str, Any]:
    whole = host.get(5001, "/contract")
    found = [whole["own"], *whole["others"], host.get(3000, "/contract"), host.get(5002, "/contract")]
    return {report["service"]: report for report in found}


def test_each_service_reaches_all_that_its_release_lets_it_reach(running: DataHost) -> None:
    wait_until(lambda: {"worker", "beat"} <= set(reports(running)), 60, "worker and beat have reported", 1)
    for service, report in reports(running).items():
        assert set(report["reached"]) == set(release()["flows"][service]) - NOBODY, report


def test_a_task_comes_back_from_every_queue_and_the_worker_answers_its_probe(running: DataHost) -> None:
    for queue in release()["services"]["worker"]["queues"]:
        assert running.get(5001, f"/v1/contract/queue?queue={queue}") == {"worker": "worker-1"}
    assert running.root(equipment("worker", "celery", "inspect", "ping")).strip() == "celery@worker-1: OK pong"
    assert running.get(5001, "/contract")["scheduled"].startswith("worker-1")


def test_the_first_administrator_comes_through_the_gate_once(running: DataHost) -> None:
    administrator = {"email": "admin@x.internal", "name": "A", "password": running.secrets["dify_admin_password"]}
    code = SETUP.format(gate=running.secrets["dify_init_password"], administrator=administrator)
    first, refusal, last = product(running, code).splitlines()
    assert (first, last) == ("False", "True")
    assert "/console/api/init answers 401 (init_validate_failed)" in refusal
    again = product(running, code).splitlines()
    assert again[0] == "True"
    assert "/console/api/setup answers 403 (already_setup)" in again[2]
