"""The files of the releases, and how a site comes to one of them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from unit.plugins.module_utils import difys

from ansible_collections.onprem.dify.plugins.module_utils import dify_release, dify_schema
from ansible_collections.onprem.dify.plugins.module_utils.dify_release import ReleaseError
from ansible_collections.onprem.dify.plugins.module_utils.site_secrets import forms_of

Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize("version", difys.RELEASES)
def test_every_release_file_is_right(version: str) -> None:
    release = difys.release_file(version)
    assert release["version"] == version
    assert dify_schema.faults(release, difys.pins(version)) == []


def test_the_releases_are_the_newest_and_the_one_before() -> None:
    assert difys.RELEASES == ["1.16.1", "1.17.1"]
    assert difys.load("bundle/dify.yml")["version"] == "1.17.1"
    assert "1.16.1" in difys.release_file("1.17.1")["upgrade"]["from"]


@pytest.mark.parametrize("version", difys.RELEASES)
def test_secrets_have_the_forms_in_which_the_site_makes_them(version: str) -> None:
    for name, entry in difys.release_file(version)["secrets"].items():
        assert entry.get("form") == (forms_of().get(f"dify_{name}") if "form" in entry else None), name


@pytest.mark.parametrize("version", difys.RELEASES)
def test_what_must_be_equal_comes_from_one_secret(version: str) -> None:
    names = {name: entry["names"] for name, entry in difys.release_file(version)["secrets"].items()}
    assert names["sandbox_key"] == {"api": "CODE_EXECUTION_API_KEY", "sandbox": "API_KEY"}
    assert set(names["plugin_daemon_key"].values()) == {
        "PLUGIN_DAEMON_KEY",
        "SERVER_KEY",
        "DIFY_AGENT_PLUGIN_DAEMON_API_KEY",
    }
    assert set(names["inner_api_key"].values()) == {
        "INNER_API_KEY_FOR_PLUGIN",
        "DIFY_INNER_API_KEY",
        "DIFY_AGENT_INNER_API_KEY",
    }
    assert set(names["agent_token"].values()) == {"AGENT_BACKEND_API_TOKEN", "DIFY_AGENT_API_TOKEN"}
    assert set(names["agent_sandbox_token"].values()) == {"DIFY_AGENT_LOCAL_SANDBOX_AUTH_TOKEN", "SHELLCTL_AUTH_TOKEN"}


@pytest.mark.parametrize("version", difys.RELEASES)
def test_nothing_calls_home_and_one_instance_has_one_workspace(version: str) -> None:
    fixed = difys.release_file(version)["settings"]["api"]["fixed"]
    assert fixed["CHECK_UPDATE_URL"] == ""
    off = ("MARKETPLACE_ENABLED", "ENABLE_CHECK_UPGRADABLE_PLUGIN_TASK", "ALLOW_CREATE_WORKSPACE", "MIGRATION_ENABLED")
    assert {fixed[name] for name in off} == {"false"}


def change(*path: Any, to: Any) -> Change:
    def apply(release: dict[str, Any]) -> None:
        place = release
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = to

    return apply


BROKEN: list[tuple[str, Change]] = [
    ("the file: unknown service, wanted: services", change("service", to={})),
    ("the file.together is not of type list", change("together", to="x")),
    ("images.web: unknown digest, wanted: one of pin, name, tag", change("images", "web", "digest", to="x")),
    ("images.web.pin: no component dfy, wanted: dify", change("images", "web", "pin", to="dfy")),
    ("images.web: the pin dify has no image docker.io/x", change("images", "web", "name", to="docker.io/x")),
    ("services.api: unknown ports, wanted: port", change("services", "api", "ports", to=1)),
    ("services.api.port is not of type int", change("services", "api", "port", to="x")),
    ("services.api.image is ap, wanted: api", change("services", "api", "image", to="ap")),
    ("services.web.user is 0, wanted: root with its capabilities", change("services", "web", "user", to=0)),
    (
        "services.sandbox.root: capability SYS_ADMIN, wanted: one of CHOWN",
        change("services", "sandbox", "root", "capabilities", to=["SYS_ADMIN"]),
    ),
    ("services.sandbox is root outside of the namespace", change("services", "sandbox", "isolated", to=False)),
    ("services.web: wanted: either a user, or root", change("services", "web", "root", to={"capabilities": []})),
    ("services.web.health has nothing, wanted: one of", change("services", "web", "health", to={})),
    ("services.beat has a health by tcp and no port", change("services", "beat", "health", to={"tcp": True})),
    ("services.api.scratch: tmp is not absolute", change("services", "api", "scratch", to=["tmp"])),
    ("flows: unknown wokrer, wanted: worker", change("flows", "wokrer", to=[])),
    ("flows.api: unknown postgre, wanted: postgres", change("flows", "api", to=["postgre"])),
    ("flows.api: worker has no port", change("flows", "api", to=["worker"])),
    ("paths[0].to is beat, wanted: one of flows.router", change("paths", 0, "to", to="beat")),
    ("paths[0]: wanted: either closed, or a service", change("paths", 0, "closed", to=True)),
    ("paths[1].path / stands twice", change("paths", 1, "path", to="/")),
    ("paths[1].path is explore, wanted: a path", change("paths", 1, "path", to="explore")),
    ("secrets.agent_key: unknown, wanted: agent_token", change("secrets", "agent_key", to={"names": {}})),
    ("secrets.secret_key.form is password, wanted: key", change("secrets", "secret_key", "form", to="password")),
    ("secrets.secret_key.names: unknown apis, wanted: api", change("secrets", "secret_key", "names", "apis", to="X")),
    ("settings.web.fixed.A is not a text; put it in quotes", change("settings", "web", "fixed", "A", to=True)),
    ("settings.web.site.A: unknown urls, wanted: url", change("settings", "web", "site", "A", to="urls")),
    ("settings.api: SECRET_KEY stands twice", change("settings", "api", "fixed", "SECRET_KEY", to="x")),
    ("settings.web: a is no name", change("settings", "web", "known", to=["a"])),
    ("together[0]: CSP is nothing that a tenant sets for web", change("together", 0, "web", to="CSP")),
    ("renamed.LOG_LEVEL is a setting of this release", change("renamed", "LOG_LEVEL", to="LOG_FILE")),
    ("renamed.OLD: unknown LOG_FILES, wanted: LOG_FILE", change("renamed", "OLD", to="LOG_FILES")),
    ("removed.LOG_LEVEL is a setting of this release", change("removed", "LOG_LEVEL", to="gone")),
    ("removed.OLD does not say why", change("removed", "OLD", to="")),
    ("unproven[0].of: there is no services.apis", change("unproven", 0, "of", to="services.apis")),
    ("migration.head is not known, and nothing under unproven", change("migration", "head", to=None)),
    ("migration.head is head, wanted: a revision", change("migration", "head", to="head")),
]


@pytest.mark.parametrize(("fault", "change"), BROKEN, ids=[fault for fault, _change in BROKEN])
def test_a_fault_of_a_release_file_is_named_with_its_place(fault: str, change: Change) -> None:
    release = copy.deepcopy(difys.release_file("1.17.1"))
    change(release)
    found = dify_schema.faults(release, difys.pins("1.17.1"))
    assert [line for line in found if line.startswith(fault)], found


def test_a_file_of_another_form_is_refused() -> None:
    assert dify_schema.faults([], {}) == ["the file is not a mapping"]
    assert "the file.secrets is missing" in dify_schema.faults({"version": "1"}, {})


def test_every_image_is_known_by_its_digest() -> None:
    for image in difys.release()["images"].values():
        assert image["reference"] == f"{image['name']}:{image['tag']}@{difys.DIGEST}"


def test_images_without_a_digest_are_named_with_the_variable_that_gives_it() -> None:
    pins = difys.pins()
    pins["dify"]["images"] = []
    with pytest.raises(ReleaseError, match=r"no digest for 4 of its images.*site_pins\.dify\.images has no docker\.io"):
        dify_release.choose({difys.NEWEST: difys.release_file()}, pins)


def test_a_digest_of_another_tag_is_none() -> None:
    pins = difys.pins("1.17.1")
    pins["dify"]["version"] = "1.16.1"
    with pytest.raises(ReleaseError, match=r"1\.16\.1: no digest for 5"):
        dify_release.choose({"1.16.1": difys.release_file("1.16.1")}, pins)


def test_a_release_without_a_file_is_refused() -> None:
    pins = difys.pins()
    pins["dify"]["version"] = "1.18.0"
    with pytest.raises(ReleaseError, match=r"site_pins\.dify\.version is 1\.18\.0, wanted: .*1\.16\.1, 1\.17\.1"):
        dify_release.choose({version: difys.release_file(version) for version in difys.RELEASES}, pins)


def test_agents_run_where_they_are_wanted_only() -> None:
    release = difys.release_file()
    of_agents = {"agent-backend", "agent-ssrf-proxy", "local-sandbox"}
    assert set(dify_release.services(release, True)) - set(dify_release.services(release, False)) == of_agents


def test_each_queue_is_read_by_a_group_of_workers() -> None:
    release = difys.release_file()
    queues = release["services"]["worker"]["queues"]
    assert dify_release.queue_faults(release, {"all": queues}) == []
    assert dify_release.queue_faults(release, {"some": queues[1:], "more": [queues[0]]}) == []
    assert dify_release.queue_faults(release, {"all": [*queues, "schedule_poler"]}) == [
        "all reads the queue schedule_poler, wanted: schedule_poller"
    ]
    rest = [queue for queue in queues if not queue.startswith("schedule_")]
    assert dify_release.queue_faults(release, {"all": rest}) == [
        "nobody reads the queue schedule_poller, schedule_executor, wanted: a group of workers for each queue"
    ]
