"""The pins of the collection as the variables of a host change them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.onprem.dify.plugins.lookup import pin
from ansible_collections.onprem.dify.plugins.plugin_utils.collection_files import ROOT

Load = Callable[..., list[dict[str, Any]]]
FACTS = {
    "distribution": "Debian",
    "distribution_major_version": "12",
    "os_family": "Debian",
    "architecture": "x86_64",
}


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    # Ansible's plugin loader, which would read the options from the documentation, is not part of this.
    def run(
        *terms: str, site_pins: Any = None, mirror: Any = None, archive: bool = False, wheels: bool = False
    ) -> list[dict[str, Any]]:
        loader = DataLoader()
        variables = {"ansible_facts": FACTS, "site_pins": site_pins or {}, "site_facts": {"mirror": mirror or {}}}
        lookup = pin.LookupModule(loader=loader, templar=Templar(loader=loader, variables=variables))
        monkeypatch.setattr(lookup, "set_options", lambda **_options: None)
        monkeypatch.setattr(lookup, "get_option", {"archive": archive, "wheels": wheels}.get)
        return lookup.run(list(terms), variables)

    return run


def test_a_component_is_looked_up_as_plain_data(load: Load) -> None:
    (found,) = load("etcd", archive=True)
    assert type(found) is dict
    archive = found["archives"]["amd64"]
    assert found["archive"] == {"urls": [archive["url"]], "sha256": archive["sha256"]}
    assert "ca_path" not in found
    assert type(found["version"]) is str


def test_all_components_come_without_terms(load: Load) -> None:
    found = load()
    assert sorted(entry["name"] for entry in found) == sorted(path.stem for path in (ROOT / "bundle").glob("*.yml"))


def test_the_pins_of_a_site_are_data_of_its_inventory(load: Load) -> None:
    (found,) = load("etcd", site_pins={"etcd": {"source": "elsewhere"}})
    assert found["source"] == "elsewhere"


def test_at_a_site_with_mirrors_all_of_them_are_asked(load: Load) -> None:
    mirror = {"hosts": ["ops1"], "urls": ["https://10.0.4.11", "https://10.0.4.12"], "ca_file": "/etc/ca.crt"}
    (found,) = load("etcd", mirror=mirror, archive=True)
    assert [url.partition("/files/")[0] for url in found["archive"]["urls"]] == mirror["urls"]
    assert found["ca_path"] == "/etc/ca.crt"
    (found,) = load("ansible-core", mirror=mirror, wheels=True)
    assert found["wheel_links"] == [f"{url}/wheels/ansible-core/" for url in mirror["urls"]]


def test_mistakes_are_errors_of_ansible(load: Load) -> None:
    with pytest.raises(AnsibleError, match=r"no component etdc\. Did you mean etcd"):
        load("etdc")
    with pytest.raises(AnsibleError, match=r"seaweedfs .*: no archive with a known sha256 for amd64"):
        load("seaweedfs", archive=True)
    with pytest.raises(AnsibleError, match=r"etcd .*: no wheels\. Give requirements and wheels in site_pins\.etcd"):
        load("etcd", wheels=True)
