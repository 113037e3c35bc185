"""What a tenant may say of Dify's settings, and what the services get."""

from __future__ import annotations

from typing import Any

import pytest
from unit.plugins.module_utils import difys

from ansible_collections.onprem.dify.plugins.module_utils import dify_settings
from ansible_collections.onprem.dify.plugins.module_utils.dify_build import BuildError
from ansible_collections.onprem.dify.plugins.module_utils.dify_facts import FactError

RELEASE = difys.release_file("1.17.1")


@pytest.mark.parametrize(
    ("wishes", "place", "found", "wanted"),
    [
        (
            {"api": {"UPLOAD_FILE_SIZE_LIMITS": 1}},
            ".api.UPLOAD_FILE_SIZE_LIMITS",
            "unknown to Dify 1.17.1",
            "UPLOAD_FILE_SIZE_LIMIT",
        ),
        (
            {"api": {"EDITION": "CLOUD"}},
            ".api.EDITION",
            "unknown to Dify 1.17.1",
            "DEPLOYMENT_EDITION, as it is called now",
        ),
        ({"api": {"CSP_WHITELIST": "x"}}, ".api.CSP_WHITELIST", "unknown to Dify 1.17.1", "it below web"),
        (
            {"api": {"ALLOW_CREATE_WORKSPACE": "true"}},
            ".api.ALLOW_CREATE_WORKSPACE",
            "not a tenant's to decide",
            "to leave it out: the collection decides it",
        ),
        (
            {"api": {"DB_HOST": "x"}},
            ".api.DB_HOST",
            "not a tenant's to decide",
            "to leave it out: it follows from the site and the tenant",
        ),
        (
            {"api": {"SECRET_KEY": "x"}},
            ".api.SECRET_KEY",
            "not a tenant's to decide",
            "it in site_secrets, and nowhere else",
        ),
        ({"api": {"LOG_LEVEL": ["x"]}}, ".api.LOG_LEVEL", "not a text or a number", "one value"),
        ({"api": {"XYZZY": 1}}, ".api.XYZZY", "unknown to Dify 1.17.1", "a setting of api in releases/1.17.1.yml"),
        ({"apii": {}}, ".apii", "unknown", "api"),
        ({"api": "x"}, ".api", "not a mapping", "settings by their names"),
        (
            {"api": {"MAX_TOOLS_NUM": 20}, "web": {"MAX_TOOLS_NUM": 10}},
            ".web.MAX_TOOLS_NUM",
            "10",
            "20, as in api.MAX_TOOLS_NUM",
        ),
    ],
)
def test_a_setting_that_would_not_work_is_refused(wishes: Any, place: str, found: str, wanted: str) -> None:
    assert [tuple(fault)[1:] for fault in dify_settings.faults(RELEASE, wishes)] == [(place, found, wanted)]


def test_a_name_that_is_gone_is_refused_with_the_reason() -> None:
    (fault,) = dify_settings.faults(RELEASE, {"api": {"WEAVIATE_ENDPOINT": "http://weaviate"}})
    assert fault.wanted == "to leave it out: vectors are in PostgreSQL"


def test_a_name_is_judged_by_its_release() -> None:
    old = difys.release_file("1.16.1")
    assert dify_settings.names(old, "api")["EDITION"] == "fixed"
    (fault,) = dify_settings.faults(old, {"api": {"DEPLOYMENT_EDITION": "COMMUNITY"}})
    assert fault.found == "unknown to Dify 1.16.1"


def test_the_tenant_has_the_last_word_and_the_collection_its_own() -> None:
    build = difys.build(
        {"settings": {"api": {"LOG_LEVEL": "DEBUG"}}}, settings={"api": {"LOG_LEVEL": "ERROR", "GUNICORN_TIMEOUT": 900}}
    )
    api = build.family_settings("api")
    assert api["LOG_LEVEL"] == "DEBUG"
    assert api["GUNICORN_TIMEOUT"] == "900"
    assert api["ALLOW_REGISTER"] == "false"
    assert api["DEPLOYMENT_EDITION"] == "COMMUNITY"


def test_settings_that_mean_one_thing_are_set_together() -> None:
    build = difys.build({"settings": {"api": {"MAX_TOOLS_NUM": 20, "PLUGIN_MAX_PACKAGE_SIZE": 524288000}}})
    assert build.family_settings("web")["MAX_TOOLS_NUM"] == "20"
    assert build.family_settings("plugin-daemon")["MAX_PLUGIN_PACKAGE_SIZE"] == "524288000"


def test_truth_is_written_as_dify_reads_it() -> None:
    assert dify_settings.text(True) == "true"
    assert dify_settings.text(1.5) == "1.5"


def test_all_faults_of_the_site_and_of_the_tenant_come_at_once() -> None:
    with pytest.raises(BuildError) as refused:
        difys.build({"settings": {"web": {"X_Y": 1}}}, settings={"api": {"EDITION": "x"}})
    lines = str(refused.value).splitlines()
    assert lines[0].startswith("dify_settings.api.EDITION is unknown to Dify 1.17.1, wanted: DEPLOYMENT_EDITION")
    assert lines[1].startswith("dify_tenants: settings of dify.web.X_Y is unknown")


def test_addresses_are_those_of_the_site_and_the_tenant() -> None:
    api = difys.build({"hostname": "ai.bank.internal"}).family_settings("api")
    assert api["FILES_URL"] == "https://ai.bank.internal"
    assert api["ENDPOINT_URL_TEMPLATE"] == "https://ai.bank.internal/e/{hook_id}"
    assert api["DB_HOST"] == "postgres.dify.example.internal"
    assert api["DB_EXTRAS"].startswith("sslmode=verify-full&sslrootcert=/")
    assert api["S3_ENDPOINT"] == "https://s3.dify.example.internal:8333"
    assert (api["S3_BUCKET_NAME"], api["PGVECTOR_DATABASE"]) == ("dify", "dify_vector")


def test_without_agents_nothing_points_to_them() -> None:
    plain, with_agents = difys.build(), difys.build({"agents": True})
    assert "AGENT_BACKEND_BASE_URL" not in plain.family_settings("api")
    assert plain.family_settings("web")["NEXT_PUBLIC_ENABLE_AGENT_V2"] == "false"
    assert with_agents.family_settings("api")["AGENT_BACKEND_BASE_URL"] == "http://agent-backend.dify.svc:5050"
    stub = with_agents.family_settings("agent-backend")["DIFY_AGENT_STUB_API_BASE_URL"]
    assert stub == "http://agent-backend.dify.svc:5050/agent-stub"


def test_files_that_are_not_in_a_store_need_no_bucket() -> None:
    place = difys.site() | {"storage": {"uploads": "nfs", "plugins": "local"}}
    build = difys.build(at=place)
    api, daemon = build.family_settings("api"), build.family_settings("plugin-daemon")
    assert (api["STORAGE_TYPE"], daemon["PLUGIN_STORAGE_TYPE"]) == ("opendal", "local")
    assert not {"S3_BUCKET_NAME", "S3_ENDPOINT"} & set(api)
    assert "PLUGIN_STORAGE_OSS_BUCKET" not in daemon


def test_a_service_of_the_data_centre_is_used_under_its_own_name() -> None:
    given = {"postgres": {"host": "pg.bank.internal", "port": 6432, "addresses": ["10.0.0.50"]}}
    flow = {"from": "workers", "to": "postgres", "port": 6432, "protocol": "tcp"}
    place = difys.site(without=["database"], services={"postgres": ["10.0.0.50"]}, extra_flows=[flow])
    build = difys.build(at=place, given=given)
    assert build.family_settings("api")["DB_HOST"] == "pg.bank.internal"
    assert build.family_settings("api")["DB_PORT"] == "6432"
    assert "pg.bank.internal" not in str(build.aliases)


def test_a_site_without_a_database_is_told_what_it_lacks() -> None:
    with pytest.raises(FactError, match=r"site_services\.postgres is not set and the group database has no hosts"):
        difys.build(at=difys.site(without=["database"]))
