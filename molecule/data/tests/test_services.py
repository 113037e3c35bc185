"""What Dify and an operator get: each service behind its one address, for its own user, and nothing beyond."""

from __future__ import annotations

from pathlib import Path

import pytest

UTILS = Path(__file__).resolve().parents[3] / "plugins/module_utils"
DATABASES = {"dify": "postgres_dify", "dify_plugin": "postgres_dify_plugin", "dify_vector": "postgres_dify_vector"}
POSTGRESQL = f"""{(UTILS / "postgresql_client.py").read_text(encoding="utf-8")}
import ssl

def ask(address, port, authorities, user, password, database, statements):
    connected = socket.create_connection((address, port), timeout=5)
    offers_tls(connected)
    context = ssl.create_default_context(cadata=authorities)
    try:
        session = Connection(context.wrap_socket(connected, server_hostname=address)).login(user, password, database)
        rows = [session.query(statement) for statement in statements]
        session.close()
        return rows[-1]
    except PostgresError as error:
        return error.code

answer = ask(**SETTINGS)
"""
NOT_ALLOWED, WRONG_PASSWORD, READ_ONLY, REFUSED = "42501", "28P01", "25006", "28000"


def sql(site, *statements, port=5432, user="dify", database="", password="", source="worker1", address="postgres"):
    return site.run(
        source,
        POSTGRESQL,
        address=site.address(address),
        port=port,
        authorities=site.authorities,
        user=user,
        password=password or site.secret(DATABASES[user]),
        database=database or user,
        statements=statements,
    )


@pytest.mark.parametrize("name", DATABASES)
def test_an_owner_works_in_its_database_through_the_endpoint(site, name):
    answer = sql(
        site, "CREATE TABLE tried (n int)", "INSERT INTO tried VALUES (7)", "DROP TABLE tried", "SELECT 1", user=name
    )
    assert answer == [["1"]]


def test_the_extensions_are_there(site):
    assert sql(site, "SELECT length(uuid_generate_v4()::text)") == [["36"]]
    assert sql(site, "SELECT '[1,2,3]'::vector <-> '[1,2,4]'::vector", user="dify_vector") == [["1"]]


def test_an_owner_has_no_rights_beyond_its_database(site):
    assert sql(site, "CREATE ROLE intruder") == NOT_ALLOWED
    assert sql(site, "SELECT 1", database="dify_plugin") in (NOT_ALLOWED, REFUSED)
    assert sql(site, "SELECT pg_read_file('/etc/passwd')") == NOT_ALLOWED


def test_a_wrong_password_and_the_superuser_are_refused(site):
    assert sql(site, "SELECT 1", password="not-the-password") == WRONG_PASSWORD
    assert sql(site, "SELECT 1", user="postgres", database="postgres", password="anything-at-all") == REFUSED


def test_the_read_only_endpoint_leads_to_a_standby(site):
    assert sql(site, "SELECT pg_is_in_recovery()", port=5433) == [["t"]]
    assert sql(site, "CREATE TABLE tried (n int)", port=5433) == READ_ONLY


def test_data_is_checked_and_kept_twice(site):
    assert sql(site, "SHOW data_checksums") == [["on"]]
    assert sql(site, "SHOW synchronous_standby_names") not in ([[""]], [])


def test_every_flow_passes_and_every_door_is_shut_with_the_real_services(site):
    report = site.folder / "probe"
    run = site.play("playbooks/probe.yml", extra_vars={"probe_report_folder": str(report)})
    text = (report / "probe.txt").read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if line.startswith("WRONG")] == []
    assert run.status == "successful", run.failures


def test_the_controls_of_the_data_hosts_pass(site):
    run = site.play("playbooks/verify.yml", limit="data", extra_vars={"verify_report_dir": str(site.folder / "verify")})
    assert run.status == "successful", run.failures


def test_s3_keeps_its_contract(site):
    run = site.play("playbooks/s3_contract.yml", extra_vars={"objects_contract_keys": 1200})
    assert run.status == "successful", run.failures
