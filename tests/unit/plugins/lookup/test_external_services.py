"""The services that a site gives, as the role hands them to the check."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.onprem.dify.plugins.lookup import external_services

SITE = {
    "hosts": {"worker1": {"groups": ["workers"]}},
    "services": {"postgres": ["10.0.0.50"], "redis": ["10.0.0.60"], "time": ["10.0.0.5"]},
}
SECRETS = {"redis_dify": "for the check", "pki_root_key": "for nobody", "postgres_dify": "for the check as well"}


Look = Callable[..., dict[str, Any]]


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Look:
    def look(site: dict[str, Any] = SITE, **settings: Any) -> dict[str, Any]:
        loader = DataLoader()
        lookup = external_services.LookupModule(loader=loader, templar=Templar(loader=loader))
        monkeypatch.setattr(lookup, "set_options", lambda **_options: None)
        monkeypatch.setattr(lookup, "get_option", {"settings": settings, "secrets": SECRETS}.get)
        [found] = lookup.run([site], {})
        return found

    return look


def test_what_the_site_gives_is_complete_and_carries_its_own_secrets_only(look: Look, tmp_path: Path) -> None:
    authorities = tmp_path / "corporate.pem"
    authorities.write_text("certificates")
    found = look(external_redis={"ca_file": str(authorities)}, external_postgresql={"port": 5433})
    assert list(found["services"]) == ["postgres", "redis"]
    assert found["services"]["redis"]["ca"] == "certificates"
    assert (found["services"]["postgres"]["ca"], found["services"]["postgres"]["port"]) == ("", 5433)
    assert found["passwords"] == {key: SECRETS[key] for key in ("postgres_dify", "redis_dify")}


def test_a_file_that_cannot_be_read_is_left_to_the_findings(look: Look, tmp_path: Path) -> None:
    assert look(external_redis={"ca_file": str(tmp_path / "none.pem")})["services"]["redis"]["ca"] is None


def test_a_site_without_given_services_has_none(look: Look) -> None:
    assert look({**SITE, "services": {}}) == {"services": {}, "passwords": {}}


def test_a_store_in_which_nothing_is_stored_is_not_asked(look: Look) -> None:
    storage = {"uploads": "nfs", "plugins": "s3", "backups": "local"}
    site = {**SITE, "services": {"s3": ["10.0.0.70"]}, "storage": storage}
    assert [bucket["name"] for bucket in look(site)["services"]["s3"]["buckets"]] == ["dify-plugin"]
    storage["plugins"] = "nfs"
    assert look(site) == {"services": {}, "passwords": {}}
    own = look(site, external_s3={"buckets": [{"name": "records", "secret": "s3_records"}]})
    assert [bucket["name"] for bucket in own["services"]["s3"]["buckets"]] == ["records"]


def test_a_plan_that_is_none_names_its_variable(look: Look) -> None:
    with pytest.raises(AnsibleError, match="external_postgresql: postgresql_expected_clients"):
        look(external_postgresql={"expected_clients": {"api": {"pods": "two"}}})
