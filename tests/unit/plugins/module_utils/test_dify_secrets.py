"""The secrets of one Dify: whole, in their places, and out of sight."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from unit.plugins.module_utils import difys

from ansible_collections.onprem.dify.plugins.module_utils import dify_facts, dify_secrets
from ansible_collections.onprem.dify.plugins.module_utils.dify_secrets import SecretError
from ansible_collections.onprem.dify.plugins.module_utils.dify_tenants import all_complete

AGENTS = {"name": "dify", "agents": True}


def values(tenant: dict[str, Any], site: dict[str, Any] | None = None, **changes: Any) -> dict[str, str]:
    place = site or difys.site()
    (whole,) = all_complete([tenant], place)
    release = difys.release()
    facts = dify_facts.facts(release, place, whole, {})
    known = {name: value for name, value in {**difys.secrets(tenant["name"]), **changes}.items() if value}
    return dify_secrets.values(release, whole, facts, known)


def test_each_service_finds_the_secret_of_its_tenant() -> None:
    made = difys.secrets("dify-finance")
    found = values({"name": "dify-finance"}, **made)
    assert found["database_password"] == made["postgres_dify_finance"]
    assert found["plugin_database_password"] == made["postgres_dify_finance_plugin"]
    assert found["secret_key"] == made["dify_finance_secret_key"]
    assert found["s3_plugin_access_key"] == made["s3_dify_finance_plugin_access_key"]


def test_addresses_with_a_password_are_put_together_and_escaped() -> None:
    found = values(AGENTS, redis_dify="a~b.c_d-e")
    assert found["celery_url"] == "rediss://dify:a~b.c_d-e@redis.dify.example.internal:6379/1"
    assert found["agent_redis_url"].endswith(":6379/2?ssl_ca_certs=/etc/onprem-dify/authorities/ca.crt")
    assert ":p%40ss%2F@" in values(AGENTS, redis_dify="p@ss/")["celery_url"]


def test_all_missing_secrets_are_named_and_none_is_shown() -> None:
    with pytest.raises(SecretError) as refused:
        values(AGENTS, dify_sandbox_key="", postgres_dify="")
    assert "site_secrets is without dify_sandbox_key, postgres_dify, wanted" in str(refused.value)
    assert not [value for value in difys.secrets().values() if value in str(refused.value)]


def test_what_only_some_sites_have_is_not_asked_for() -> None:
    assert "smtp_password" not in values(AGENTS)
    assert values(AGENTS, dify_smtp_password="of another team")["smtp_password"] == "of another team"
    on_nfs = {**difys.site(), "storage": {"uploads": "nfs", "plugins": "s3"}}
    found = values(AGENTS, on_nfs, s3_dify_access_key="", s3_dify_secret_key="")
    assert "s3_access_key" not in found
    assert "s3_plugin_access_key" in found
    with pytest.raises(SecretError, match="s3_dify_plugin_access_key"):
        values(AGENTS, on_nfs, s3_dify_plugin_access_key="")


def test_without_agents_their_secrets_are_in_no_namespace() -> None:
    found = values({"name": "dify"})
    assert "agent_redis_url" not in found
    assert "agent_stub_key" not in found
    assert "agent_stub_key" in values(AGENTS)


def secret_objects(tenant: dict[str, Any]) -> dict[str, dict[str, str]]:
    (whole,) = all_complete([tenant], difys.site())
    made = dify_secrets.objects(difys.release(), whole, values(tenant), {})
    assert [entry["kind"] for entry in made] == ["Secret", "Secret"]
    return {entry["metadata"]["namespace"]: entry["data"] for entry in made}


def test_the_namespace_of_the_sandboxes_has_their_keys_and_nothing_else() -> None:
    assert set(secret_objects({"name": "dify"})["dify-sandbox"]) == {"sandbox_key"}
    assert set(secret_objects(AGENTS)["dify-sandbox"]) == {"sandbox_key", "agent_sandbox_token"}


def test_both_ends_of_an_equality_hold_one_value() -> None:
    (whole,) = all_complete([AGENTS], difys.site())
    found = values(AGENTS, dify_sandbox_key="of this site")
    main, sandbox = dify_secrets.objects(difys.release(), whole, found, {})
    assert main["data"]["sandbox_key"] == sandbox["data"]["sandbox_key"]
    assert base64.b64decode(main["data"]["sandbox_key"]) == b"of this site"


def test_every_secret_that_a_pod_names_is_in_its_namespace() -> None:
    data = secret_objects(AGENTS)
    for entry in [*difys.of(difys.objects(AGENTS), "Deployment"), *difys.of(difys.objects(AGENTS), "Job")]:
        (container,) = difys.pod_of(entry)["containers"]
        for variable in container.get("env", []):
            reference = variable.get("valueFrom", {}).get("secretKeyRef")
            if reference:
                assert reference["name"] == dify_secrets.OBJECT
                assert reference["key"] in data[entry["metadata"]["namespace"]], variable["name"]


def test_pods_start_anew_when_a_secret_of_theirs_changes_and_else_not() -> None:
    made = difys.secrets()
    before, same = difys.build(known=made).checksums, difys.build(known=made).checksums
    after = difys.build(known={**made, "dify_sandbox_key": "another" * 5}).checksums
    assert before == same
    assert {family for family in before if before[family] != after[family]} == {"api", "sandbox"}
