"""Services that a data centre gives: what is right passes, and whatever is wrong is said at once, for all of them."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from unit.plugins.plugin_utils.authorities import authority

from lab import scratch
from lab.runs import Run

# The data centre's machine is in no group of services.
TREE = {
    "app": {"children": {"workers": {"hosts": {"worker1": {"ansible_host": "10.93.2.21"}}}}},
    "data": {"hosts": {"db1": {"ansible_host": "10.93.3.11"}}, "children": {}},
}
DB1 = "10.93.3.11"
EXTENSION = "/usr/share/postgresql/15/extension/vector.control"
HBA = "/etc/postgresql/15/main/pg_hba.conf"
PSQL = "cd / && runuser -u postgres -- psql -q -d dify"
RELOAD = "systemctl reload postgresql@15-main && sleep 0.5"
SETTINGS = "/var/lib/postgresql/15/main/postgresql.auto.conf"


class DataCentre:
    def __init__(self, site: scratch.Site, folder: Path) -> None:
        self.site = site
        self.password = secrets.token_hex(12)
        self.ca = folder / "ca.crt"
        self.stranger = folder / "stranger.crt"
        self.stranger.write_bytes(authority("stranger").pem)

    def prepare(self) -> None:
        variables = {"test_password": self.password, "test_ca": str(self.ca)}
        run = self.site.play("tests/acceptance/external.yml", extra_vars=variables)
        assert run.status == "successful", run.failures

    def check(self, check: bool = False, **variables: Any) -> Run:
        postgresql = {"ca_file": str(self.ca), **variables.pop("postgresql", {})}
        redis = {"ca_file": str(self.ca), **variables.pop("redis", {})}
        names = ("dify", "dify_plugin", "dify_vector")
        right = {f"postgres_{name}": f"{self.password}-{name}" for name in names}
        right["redis_dify"] = f"{self.password}-redis"
        extra = {
            "site_services": {"postgres": [DB1], "redis": [DB1]},
            "site_secrets": {**right, **variables.pop("secrets", {})},
            "external_postgresql": postgresql,
            "external_redis": redis,
            **variables,
        }
        return self.site.play("playbooks/external.yml", extra_vars=extra, check=check)

    def findings(self, **variables: Any) -> dict[str, list[str]]:
        """The findings of a run that fails, by the id of their check."""
        run = self.check(**variables)
        assert run.status == "failed"
        [failure] = run.failures
        assert failure.host == "worker1"
        assert self.password not in failure.message
        found: dict[str, list[str]] = {}
        for line in failure.message.splitlines()[1:]:
            text, _space, check = line.strip().rpartition(" ")
            found.setdefault(check.strip("[]"), []).append(text)
        return found

    def root(self, *commands: str) -> None:
        """Run commands on the machine of the data centre. One login is much quicker than several."""
        script = "set -e\n" + "\n".join(commands)
        done = self.site.ssh("db1", f"sudo sh -c {shlex.quote(script)}")
        assert done.returncode == 0, done.stderr

    def redis(self, words: str) -> str:
        login = f"--no-auth-warning --user admin --pass {self.password}-admin"
        return f"redis-cli -e -s /run/redis/redis.sock {login} {words}"


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataCentre]:
    folder = scratch.copy_of_example(tmp_path_factory.mktemp("external"), "external", "93", tree=TREE)
    with scratch.running(folder) as site:
        centre = DataCentre(site, tmp_path_factory.mktemp("authorities"))
        centre.prepare()
        yield centre


def test_services_that_are_right_pass_and_nothing_changes(centre: DataCentre) -> None:
    for check in (False, True):
        run = centre.check(check=check, external_require_tls13=True)
        assert (run.status, run.changed) == ("successful", set()), run.failures


def test_a_site_that_runs_everything_itself_is_asked_nothing(centre: DataCentre) -> None:
    run = centre.check(site_services={})
    assert run.status == "successful", run.failures
    assert run.hosts["worker1"].skipped == 1


def test_everything_that_is_wrong_is_said_at_once(centre: DataCentre) -> None:
    centre.root(
        centre.redis("config set maxmemory-policy allkeys-lru"),
        centre.redis("acl setuser dify -publish"),
        f"mv {EXTENSION} /root",
        f"{PSQL} -c 'REVOKE CREATE ON SCHEMA public FROM pg_database_owner'",
    )
    try:
        found = centre.findings(
            secrets={"postgres_dify_plugin": "wrong-password-of-nobody"},
            postgresql={"connection_reserve": 200},
            redis={"databases": [0, 99]},
        )
    finally:
        centre.root(
            centre.redis("config set maxmemory-policy noeviction"),
            centre.redis("acl setuser dify +publish"),
            f"mv /root/vector.control {EXTENSION}",
            f"{PSQL} -c 'GRANT CREATE ON SCHEMA public TO pg_database_owner'",
        )
    assert sorted(found) == ["connections", "database", "eviction", "extension", "login", "messages", "schema"]
    assert found["login"] == [
        f"postgres {DB1}:5432: site_secrets.postgres_dify_plugin is refused for user dify_plugin, wanted: its password"
    ]
    assert "max_connections is 400, wanted: 500 or more" in found["connections"][0]
    assert "extension vector of database dify_vector is not installed" in found["extension"][0]
    assert "maxmemory-policy is allkeys-lru, wanted: noeviction" in found["eviction"][0]
    assert "GRANT USAGE, CREATE ON SCHEMA public TO dify" in found["schema"][0]
    assert "external_redis.databases is database 99, refused" in found["database"][0]


def test_a_missing_database_user_or_secret_is_named(centre: DataCentre) -> None:
    databases = [
        {"name": "dify_other", "owner": "dify", "secret": "postgres_dify"},
        {"name": "dify", "owner": "nobody", "secret": "postgres_dify"},
        {"name": "dify", "owner": "dify", "secret": "postgres_forgotten"},
    ]
    found = centre.findings(postgresql={"databases": databases}, secrets={"redis_dify": "wrong-password-too"})
    assert sorted(found) == ["database", "login", "secret"]
    assert "database dify_other is missing" in found["database"][0]
    assert ["user nobody" in found["login"][0], "user dify (WRONGPASS" in found["login"][1]] == [True, True]
    assert "site_secrets.postgres_forgotten is not set" in found["secret"][0]


def test_a_server_that_cannot_be_verified_gets_no_password(centre: DataCentre) -> None:
    found = centre.findings(postgresql={"ca_file": str(centre.stranger)}, redis={"ca_file": ""})
    assert list(found) == ["tls-trust"]
    assert f"external_postgresql.ca_file is {centre.stranger}, and unable to get local issuer" in found["tls-trust"][0]
    assert "external_redis.ca_file is the authorities of the operating system, and" in found["tls-trust"][1]


def test_ports_and_names_that_lead_nowhere_are_named(centre: DataCentre) -> None:
    found = centre.findings(postgresql={"port": 5499}, redis={"host": "redis.nowhere.internal"})
    assert "external_postgresql.port is 5499, which is closed" in found["reach"][0]
    assert "redis.nowhere.internal, which this host cannot resolve" in found["address"][0]
    silent = {"postgres": ["10.93.3.99"], "redis": [DB1]}
    found = centre.findings(site_services=silent, external_timeout=1, redis={"port": 22})
    assert "postgres 10.93.3.99:5432" in found["reach"][0]
    assert "external_redis.port is 22, where the handshake fails" in found["tls"][0]


def test_the_certificate_has_to_be_for_the_name_that_is_used(centre: DataCentre) -> None:
    names = f"{DB1} postgres.corp.internal redis.corp.internal"
    centre.site.ssh("worker1", f"echo {names} | sudo tee -a /etc/hosts")
    found = centre.findings(postgresql={"host": "postgres.corp.internal"}, redis={"host": "redis.corp.internal"})
    [line] = found["tls-trust"]
    assert "external_redis.host is redis.corp.internal, and Hostname mismatch" in line
    assert list(found) == ["tls-trust"]


def test_what_follows_another_server_is_refused(centre: DataCentre) -> None:
    centre.root(
        centre.redis("replicaof 127.0.0.1 1"),
        "runuser -u postgres -- touch /var/lib/postgresql/15/main/standby.signal",
        "systemctl restart postgresql@15-main",
    )
    try:
        found = centre.findings()
    finally:
        centre.root(centre.redis("replicaof no one"), "pg_ctlcluster 15 main promote")
    assert list(found) == ["read-write"]
    assert "external_postgresql.host is a standby" in found["read-write"][0]
    assert "external_redis.host is a replica" in found["read-write"][1]


def test_old_tls_is_a_warning_or_a_finding_as_the_site_wants(centre: DataCentre) -> None:
    centre.root(f"echo \"ssl_min_protocol_version = 'TLSv1.2'\" >> {SETTINGS}", RELOAD)
    try:
        assert centre.check().status == "successful"
        found = centre.findings(external_require_tls13=True)
    finally:
        centre.root(f"sed -i /^ssl_min/d {SETTINGS}", RELOAD)
    assert list(found) == ["tls-old"]
    assert "external_postgresql.port is 5432, with TLS 1.2 as well" in found["tls-old"][0]


def test_passwords_in_old_forms_are_refused(centre: DataCentre) -> None:
    old = "hostssl dify all all trust\\nhostssl all all all password"
    centre.root(f"cp -p {HBA} /root; sed -i 's/^hostssl.*/{old}/' {HBA}", RELOAD)
    try:
        found = centre.findings()
    finally:
        centre.root(f"cp -p /root/pg_hba.conf {HBA}", RELOAD)
    assert [text.partition(", wanted")[0].rpartition(" is ")[2] for text in found["login"]] == [
        "by no password",
        "by the password in plain text",
        "by the password in plain text",
    ]
