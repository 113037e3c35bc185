"""What the example site gives to every container of Dify is what the lab's test equipment in its place wants."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from unit.plugins.module_utils import difys

from lab.artifacts import golang

MODULE = golang.MODULES / "dify-contract"


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checks alone: they need no module but their own."""
    target = tmp_path_factory.mktemp("contract") / "check"
    go = golang.good_enough()
    assert go, golang.missing()
    subprocess.run([go, "-C", str(MODULE), "build", "-o", str(target), "./cmd/check"], check=True)
    return target


@pytest.fixture
def faults(program: Path, tmp_path: Path) -> Any:
    def ask(environments: Mapping[str, Mapping[str, str]], version: str = difys.NEWEST) -> list[str]:
        release = tmp_path / "release.json"
        release.write_text(json.dumps(difys.release_file(version)))
        done = subprocess.run(
            [program, release], input=json.dumps(environments), capture_output=True, text=True, check=False
        )
        assert (done.returncode == 0) == (done.stdout == ""), done
        assert done.stderr == ""
        return done.stdout.splitlines()

    return ask


@pytest.mark.parametrize("version", difys.RELEASES)
@pytest.mark.parametrize("agents", [False, True])
def test_every_container_of_the_example_site_has_what_its_release_wants(
    faults: Any, version: str, agents: bool
) -> None:
    given = difys.environments(version, agents=agents)
    services = difys.release_file(version)["services"]
    assert set(given) == {
        name for name, service in services.items() if "settings" in service and (agents or not service.get("agents"))
    }
    assert faults(given, version) == []


def test_a_missing_setting_is_named_with_what_is_wanted(faults: Any) -> None:
    given = difys.environments()
    del given["api"]["DB_HOST"], given["worker"]["CELERY_WORKER_QUEUES"], given["sandbox"]["API_KEY"]
    assert sorted(faults(given)) == [
        "api: DB_HOST is missing, wanted: postgres.host",
        "sandbox: API_KEY is missing, wanted: a secret",
        f"worker: CELERY_WORKER_QUEUES is missing, wanted: queues of Dify {difys.NEWEST}",
    ]


@pytest.mark.parametrize(
    ("service", "name", "value", "said"),
    [
        ("api", "MIGRATION_ENABLED", "true", 'MIGRATION_ENABLED is "true", wanted: "false"'),
        ("migration", "MIGRATION_ENABLED", "false", 'MIGRATION_ENABLED is "false", wanted: "true"'),
        ("api", "CONSOLE_API_URL", "/console", 'CONSOLE_API_URL is "/console", wanted: https://HOST'),
        ("web", "SERVER_CONSOLE_API_URL", "http://api:80", "wanted: http://HOST:5001 of api"),
        ("api", "DB_EXTRAS", "sslmode=require", "wanted: sslmode=verify-full and sslrootcert with a path"),
        ("plugin-daemon", "DB_SSL_MODE", "disable", 'DB_SSL_MODE is "disable", wanted: verify-full'),
        ("worker", "CELERY_WORKER_QUEUES", "dataset,mails", 'has "mails", wanted: queues of Dify'),
        ("api", "SQLALCHEMY_POOL_SIZE", "many", 'SQLALCHEMY_POOL_SIZE is "many", wanted: a value as "30"'),
        ("agent-backend", "DIFY_AGENT_SERVER_SECRET_KEY", "A" * 44, "wanted: 32 bytes in base64url, without padding"),
        ("api", "INIT_PASSWORD", "x" * 31, "wanted: 30 characters or fewer"),
    ],
)
def test_a_wrong_value_is_refused(faults: Any, service: str, name: str, value: str, said: str) -> None:
    given = difys.environments(agents=True)
    given[service][name] = value
    (line,) = faults({service: given[service]})
    assert line.startswith(f"{service}: {name}")
    assert said in line


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("SQLALCHEMY_POOL_SIZ", f"SQLALCHEMY_POOL_SIZ is unknown to Dify {difys.NEWEST}"),
        # A Service of Kubernetes would put it there, and Dify would read it.
        ("REDIS_SERVICE_HOST", f"REDIS_SERVICE_HOST is unknown to Dify {difys.NEWEST}"),
        ("EDITION", f"EDITION is not read by Dify {difys.NEWEST}, wanted: DEPLOYMENT_EDITION"),
        ("WEAVIATE_ENDPOINT", f"WEAVIATE_ENDPOINT is not read by Dify {difys.NEWEST}: vectors are in PostgreSQL"),
    ],
)
def test_an_unknown_a_renamed_and_a_removed_setting_are_refused(faults: Any, name: str, said: str) -> None:
    given = difys.environments()
    given["api"][name] = "x"
    assert faults({"api": given["api"]}) == [f"api: {said}"]


def test_a_published_secret_is_refused_and_no_secret_is_shown(faults: Any) -> None:
    given = difys.environments()
    given["sandbox"]["API_KEY"] = "dify-sandbox"
    lines = faults(given)
    assert lines == [
        "sandbox.API_KEY is another than api.CODE_EXECUTION_API_KEY, wanted: the same",
        "sandbox: API_KEY is not a secret that serves, wanted: one that was never published",
    ]
    assert not [line for line in lines if given["api"]["CODE_EXECUTION_API_KEY"] in line]


def test_the_queues_go_to_the_redis_of_the_service_and_to_a_database_of_their_own(faults: Any) -> None:
    given = difys.environments()["worker"]
    given["CELERY_BROKER_URL"] = given["CELERY_BROKER_URL"].rpartition("/")[0] + "/" + given["REDIS_DB"]
    (line,) = faults({"worker": given})
    assert line.startswith("worker: CELERY_BROKER_URL goes elsewhere")
    assert given["REDIS_PASSWORD"] not in line
