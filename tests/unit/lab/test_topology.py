"""The inventory is the only list of machines."""

import pytest

from lab import topology
from lab.errors import LabError

CACHE = topology.Path("/cache")


def listing(**changes):
    hosts = {
        "gateway1": {"ansible_host": "10.77.1.11"},
        "db1": {"ansible_host": "10.77.3.11", "lab_disk": "4G"},
        "files1": {"ansible_host": "10.77.3.31", "lab_kind": "vm"},
    }
    hosts = {name: {"site_name": "lab", "lab_network": "10.77.0.0/16", **values} for name, values in hosts.items()}
    for name, values in changes.items():
        hosts.setdefault(name, {}).update(values)
    return {
        "_meta": {"hostvars": hosts},
        "all": {"children": ["ungrouped", "dmz", "data"]},
        "dmz": {"children": ["gateway"]},
        "gateway": {"hosts": ["gateway1"]},
        "database": {"hosts": ["db1"]},
        "files": {"hosts": ["files1"]},
    }


def parse(**changes):
    return topology.parse(listing(**changes), "bookworm", CACHE)


def test_hosts_have_the_addresses_groups_and_kinds_of_the_inventory():
    lab = parse()
    seen = [(host.name, host.address, host.groups, host.kind) for host in lab.hosts]
    assert seen == [
        ("gateway1", "10.77.1.11", ("gateway",), "node"),
        ("db1", "10.77.3.11", ("database",), "node"),
        ("files1", "10.77.3.31", ("files",), "vm"),
    ]
    assert lab.host("db1").disk == "4G"


def test_names_on_the_system_derive_from_the_name_of_the_site():
    lab = parse()
    assert (lab.bridge, lab.bridge_address, lab.prefix_length) == ("ol-lab", "10.77.0.1", 16)
    assert lab.state == CACHE / "run" / "lab"
    assert lab.mirror == "http://10.77.0.1:3142"
    assert topology.remains("lab", CACHE).bridge == lab.bridge


def test_hosts_are_selected_by_name():
    lab = parse()
    assert lab.select([]) == lab.hosts
    assert [host.name for host in lab.select(["db1"])] == ["db1"]
    with pytest.raises(LabError, match=r"db9: no such host in lab lab \(known: gateway1, db1, files1\)"):
        lab.select(["db9"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"db1": {"ansible_host": "10.77.1.11"}}, "db1: ansible_host 10.77.1.11 is already used by gateway1"),
        ({"db1": {"ansible_host": "10.77.0.1"}}, "db1: ansible_host 10.77.0.1 is already used by the bridge"),
        ({"db1": {"ansible_host": "10.99.0.5"}}, "db1: ansible_host 10.99.0.5 is outside lab_network 10.77.0.0/16"),
        ({"db1": {"ansible_host": "db1.example"}}, "db1: ansible_host 'db1.example' is not an IPv4 address"),
        ({"db1": {"lab_kind": "docker"}}, "db1: lab_kind 'docker' is neither node nor vm"),
        ({"db1": {"site_name": "other"}}, "site_name must be the same for all hosts, found lab, other"),
        ({"db1": {"lab_network": "10.77.0.1/16"}}, "lab_network must be the same"),
        ({"DB_2": {"ansible_host": "10.77.3.12"}}, "DB_2: not a host name"),
    ],
)
def test_a_broken_inventory_gives_one_clear_line(changes, message):
    with pytest.raises(LabError) as error:
        parse(**changes)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_site_name_must_fit_into_the_name_of_a_bridge():
    with pytest.raises(LabError, match="at most 12 characters"):
        parse(**{name: {"site_name": "a-very-long-site"} for name in ("gateway1", "db1", "files1")})


def test_an_inventory_without_hosts_or_network_is_refused():
    with pytest.raises(LabError, match="no hosts"):
        topology.parse({"_meta": {"hostvars": {}}}, "bookworm", CACHE)
    with pytest.raises(LabError, match="lab_network is not set"):
        topology.parse({"_meta": {"hostvars": {"db1": {"site_name": "lab"}}}}, "bookworm", CACHE)


def test_only_a_site_that_asks_has_nodes_that_run_pods_and_only_in_their_groups():
    asked = {name: {"lab_kubernetes": True} for name in ("gateway1", "db1")}
    assert not any(host.runs_pods for host in parse(**asked).hosts)
    host = topology.Host("worker1", "10.77.2.21", ("workers",), {})
    assert not host.runs_pods
    assert topology.Host("worker1", "10.77.2.21", ("workers",), {"lab_kubernetes": True}).runs_pods
