"""How a run gets at each Dify: its database, its console, its one port."""

from __future__ import annotations

import pytest
from unit.plugins.module_utils import difys

from ansible_collections.onprem.dify.plugins.module_utils.dify_access import access
from ansible_collections.onprem.dify.plugins.module_utils.dify_secrets import SecretError
from ansible_collections.onprem.dify.plugins.module_utils.dify_tenants import all_complete

SITE = difys.site()
(TENANT,) = all_complete([{"name": "fin-ance", "number": 2, "hostname": "ai.bank.internal"}], SITE)


def test_each_part_is_that_of_the_tenant() -> None:
    known = difys.secrets("fin-ance")
    found = access(TENANT, SITE, known, {})
    assert found["database"]["password"] == known["postgres_fin_ance"]
    assert (found["database"]["name"], found["database"]["user"]) == ("fin_ance", "fin_ance")
    assert found["database"]["host"] == f"postgres.{SITE['domain']}"
    assert found["database"]["address"] == SITE["endpoints"]["postgres"]
    assert found["console"]["password"] == known["fin_ance_admin_password"]
    assert found["console"]["init_password"] == known["fin_ance_init_password"]
    assert found["wish"]["names"] == ["ai.bank.internal"]
    assert found["certificate"]["directory"] == found["wish"]["directory"]
    assert found["certificate"]["secret"] == "fin-ance/router-tls"


def test_a_given_database_is_reached_by_its_own_name() -> None:
    given = {"postgres": {"host": "pg.bank.internal", "port": 6432, "addresses": ["10.9.9.9"]}}
    database = access(TENANT, SITE, difys.secrets("fin-ance"), given)["database"]
    assert (database["host"], database["address"], database["port"]) == ("pg.bank.internal", "pg.bank.internal", 6432)


def test_a_secret_that_is_missing_is_named() -> None:
    known = difys.secrets("fin-ance")
    del known["fin_ance_admin_password"]
    with pytest.raises(SecretError, match="tenant fin-ance: site_secrets is without fin_ance_admin_password"):
        access(TENANT, SITE, known, {})
