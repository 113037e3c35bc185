"""Hosts know the mirrors of their site by one fact, and nothing else to ask."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import mirror_clients
from ansible_collections.onprem.dify.plugins.module_utils.pins import Host, PinError, select

HOSTS = {
    "db1": {"address": "10.0.3.11", "groups": ["database"]},
    "ops1": {"address": "10.0.4.11", "groups": ["mirror", "monitoring"]},
    "ops2": {"address": "10.0.4.12", "groups": ["mirror"]},
}
DEBIAN = {
    "distribution": "Debian",
    "distribution_major_version": "12",
    "distribution_release": "bookworm",
    "os_family": "Debian",
    "architecture": "x86_64",
}
ROCKY = {**DEBIAN, "distribution": "Rocky", "distribution_major_version": "9", "os_family": "RedHat"}
SHA256 = "0" * 64
ETCD = {
    "name": "etcd",
    "version": "3.6.14",
    "licence": "Apache-2.0",
    "end_of_life": None,
    "end_of_life_note": "-",
    "source": "https://github.com/etcd-io/etcd",
    "archives": {
        "amd64": {"url": "https://github.com/etcd-io/v3.6.14/etcd%2B1.tar.gz?download=1", "sha256": SHA256},
        "arm64": {"url": "file:///media/etcd.tar.gz", "sha256": SHA256},
    },
}
PATRONI = {
    **ETCD,
    "name": "patroni",
    "version": "4.1.5",
    "archives": {},
    "requirements": f"a==1 --hash=sha256:{SHA256}",
}
BUNDLE: dict[str, Any] = {"etcd": ETCD, "patroni": PATRONI}


def found(given: bool = True, wanted: bool = False, hosts: dict[str, Any] = HOSTS) -> dict[str, Any]:
    hostvars: dict[str, Any] = {name: {} for name in hosts}
    if given:
        hostvars["ops1"] = {"mirror_bundle": "/media/bundle"}
    return mirror_clients.mirrors(hosts, hostvars, wanted)


def test_a_site_that_gives_no_bundle_has_no_mirror() -> None:
    assert found(given=False) == {}
    assert found(given=False, wanted=True)["hosts"] == ["ops1", "ops2"]
    assert mirror_clients.mirrors({"db1": HOSTS["db1"]}, {"db1": {"mirror_bundle": "/media"}}, True) == {}


def test_a_bundle_on_the_disk_of_the_mirror_counts() -> None:
    assert mirror_clients.mirrors(HOSTS, {"ops1": {"mirror_bundle_on_host": "/media"}, "ops2": {}}, False)


def test_mirrors_are_known_by_their_addresses() -> None:
    assert found()["urls"] == ["https://10.0.4.11", "https://10.0.4.12"]
    assert found()["registries"] == ["10.0.4.11:5000", "10.0.4.12:5000"]
    six = {"ops1": {"address": "fd00::11", "groups": ["mirror"]}}
    assert found(hosts=six)["registries"] == ["[fd00::11]:5000"]


def test_a_host_installs_from_every_mirror_with_the_key_of_the_bundle() -> None:
    assert mirror_clients.repositories(found(), "db1", DEBIAN) == [
        {
            "name": "mirror",
            "uris": ["https://10.0.4.11/packages/Debian_12", "https://10.0.4.12/packages/Debian_12"],
            "suites": ["bookworm"],
            "signed_by": "/etc/onprem-dify/mirror/packages.asc",
        }
    ]
    assert mirror_clients.repositories({}, "db1", DEBIAN) == []


def test_a_mirror_installs_from_its_own_disk() -> None:
    (repository,) = mirror_clients.repositories(found(), "ops1", DEBIAN)
    assert repository["uris"] == ["file:/srv/onprem-dify/mirror/current/packages/Debian_12"]


def test_packages_of_other_systems_are_found_in_their_own_form() -> None:
    (repository,) = mirror_clients.repositories(found(), "db1", ROCKY)
    assert repository["baseurl"] == ["https://10.0.4.11/packages/Rocky_9", "https://10.0.4.12/packages/Rocky_9"]
    assert repository["gpgkey"] == [f"file:///etc/onprem-dify/mirror/{name}.asc" for name in ("packages", "makers")]
    assert repository["repo_gpgcheck"] is True
    assert repository["ca_file"] == "/etc/onprem-dify/mirror/ca.crt"
    (own,) = mirror_clients.repositories(found(), "ops1", ROCKY)
    assert own["baseurl"] == ["file:///srv/onprem-dify/mirror/current/packages/Rocky_9"]


def archive(own: Any, host: str, mirrors: Any, architecture: str = "x86_64") -> dict[str, Any]:
    facts = Host({**DEBIAN, "architecture": architecture})
    return mirror_clients.archive(select(BUNDLE, own, "etcd", facts), facts, mirrors, host)


@pytest.mark.parametrize(
    ("host", "places"),
    [("db1", ["https://10.0.4.11", "https://10.0.4.12"]), ("ops1", ["file:///srv/onprem-dify/mirror/current"])],
)
def test_archives_come_from_every_mirror_under_the_path_of_the_bundle(host: str, places: list[str]) -> None:
    urls = [f"{place}/files/etcd/3.6.14/amd64/etcd%2B1.tar.gz" for place in places]
    assert archive({}, host, found()) == {"urls": urls, "sha256": SHA256}
    on_the_host = {"urls": ["file:///media/etcd.tar.gz"], "sha256": SHA256}
    assert archive({}, host, found(), "aarch64") == on_the_host


def test_a_version_of_the_site_is_looked_for_under_that_version() -> None:
    own = {"etcd": {"version": "3.6.15", "archives": {"amd64": {"url": "https://x.org/e.tgz", "sha256": SHA256}}}}
    assert archive(own, "db1", found())["urls"] == [
        f"https://10.0.4.{number}/files/etcd/3.6.15/amd64/e.tgz" for number in (11, 12)
    ]
    assert archive(own, "db1", {})["urls"] == ["https://x.org/e.tgz"]


def wheel_links(own: dict[str, Any], host: str, mirrors: Any) -> list[str]:
    pin = select(BUNDLE, {"patroni": own}, "patroni", Host(DEBIAN))
    return mirror_clients.wheel_links(pin, mirrors, host)


def test_wheels_come_from_every_mirror_unless_they_are_on_the_host_itself() -> None:
    mirrors = [f"https://10.0.4.{number}/wheels/patroni/" for number in (11, 12)]
    assert wheel_links({}, "db1", found()) == mirrors
    assert wheel_links({"wheels": "https://pypi.bank.internal/"}, "db1", found()) == mirrors
    assert wheel_links({}, "ops1", found()) == ["/srv/onprem-dify/mirror/current/wheels/patroni/"]
    assert wheel_links({"wheels": "/media/wheels"}, "db1", found()) == ["/media/wheels"]
    assert wheel_links({"wheels": "https://pypi.bank.internal/"}, "db1", {}) == ["https://pypi.bank.internal/"]


def test_wheels_need_their_lock_and_a_place() -> None:
    with pytest.raises(PinError, match=r"no wheels\. Give wheels in site_pins\.patroni"):
        wheel_links({}, "db1", {})
    with pytest.raises(PinError, match=r"no wheels\. Give requirements and wheels in site_pins\.patroni"):
        wheel_links({"version": "4.2.0"}, "db1", {})
    with pytest.raises(PinError, match=r"no wheels\. Give requirements in site_pins\.patroni"):
        wheel_links({"version": "4.2.0"}, "db1", found())


def test_containerd_asks_the_mirrors_and_nobody_else() -> None:
    files = mirror_clients.registry_hosts(["registry.k8s.io/pause", "docker.io/langgenius/dify-api"], found())
    assert sorted(files) == ["_default", "docker.io", "registry.k8s.io"]
    assert files["registry.k8s.io"] == (
        'server = "https://10.0.4.12:5000/v2/registry.k8s.io"\n'
        'capabilities = ["pull", "resolve"]\n'
        'ca = "/etc/onprem-dify/mirror/ca.crt"\n'
        "override_path = true\n"
        "\n"
        '[host."https://10.0.4.11:5000/v2/registry.k8s.io"]\n'
        '  capabilities = ["pull", "resolve"]\n'
        '  ca = "/etc/onprem-dify/mirror/ca.crt"\n'
        "  override_path = true\n"
    )
    assert "https://10.0.4.11:5000/v2/no.registry.of.the.bundle" in files["_default"]
    assert mirror_clients.registry_hosts(["registry.k8s.io/pause"], {}) == {}


def test_one_mirror_is_the_server_itself() -> None:
    one = mirror_clients.mirrors({"ops1": HOSTS["ops1"]}, {"ops1": {}}, True)
    files = mirror_clients.registry_hosts(["quay.io:8443/x"], one)
    assert files["quay.io:8443"].startswith('server = "https://10.0.4.11:5000/v2/quay.io_8443"\n')
    assert "[host." not in files["quay.io:8443"]
