"""Who makes the cluster, who joins it, and who is refused."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_state import (
    BEGUN,
    FRESH,
    INIT,
    JOIN,
    MEMBER,
    Access,
    Found,
    KubeadmError,
    Wish,
    fingerprint,
    parse_access,
    plan,
    random_text,
    reason,
    state_of,
    without_secrets,
)

ENDPOINT = "10.0.2.10:8443"
OURS = Access("bank", f"https://{ENDPOINT}", "aa" * 32)
API = ("etcd.yaml", "kube-apiserver.yaml")
PEM = f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(b'authority').decode()}\n-----END CERTIFICATE-----\n"


def wish(host: str = "cp1", control_plane: bool = True) -> Wish:
    return Wish(host, "bank", ENDPOINT, control_plane)


def test_a_host_without_anything_is_fresh() -> None:
    assert state_of(Found(), wish()) == FRESH


def test_what_a_killed_run_began_is_seen_before_all_else() -> None:
    assert state_of(Found(record=INIT, rest=["/etc/kubernetes/pki/ca.crt"]), wish()) == BEGUN


def test_members_are_recognised() -> None:
    assert state_of(Found(kubelet=OURS, admin=OURS, manifests=API), wish()) == MEMBER
    assert state_of(Found(kubelet=OURS), wish("worker1", control_plane=False)) == MEMBER


def test_remains_of_a_cluster_are_named() -> None:
    with pytest.raises(KubeadmError, match=r"host cp1: no cluster .* /etc/kubernetes/pki/ca.crt. Wanted is .* reset"):
        state_of(Found(rest=["/etc/kubernetes/pki/ca.crt"]), wish())


def test_a_foreign_cluster_is_refused_by_name() -> None:
    foreign = OURS._replace(cluster="kubernetes")
    with pytest.raises(KubeadmError, match=r"host cp1: .* of the cluster kubernetes, wanted is bank"):
        state_of(Found(kubelet=foreign, admin=foreign, manifests=API), wish())


def test_another_address_of_the_api_is_refused() -> None:
    moved = OURS._replace(server="https://10.0.2.99:8443")
    with pytest.raises(KubeadmError, match=r"API at https://10.0.2.99:8443, the inventory says https://10.0.2.10:8443"):
        state_of(Found(kubelet=moved, admin=moved, manifests=API), wish())


@pytest.mark.parametrize(("control_plane", "manifests"), [(True, ()), (False, API)])
def test_a_host_does_not_change_sides(control_plane: bool, manifests: tuple[str, ...]) -> None:
    with pytest.raises(KubeadmError, match=r"in the inventory\. Wanted is one and the same"):
        state_of(Found(kubelet=OURS, manifests=manifests), wish(control_plane=control_plane))


def test_a_kubeconfig_is_read_as_kubeadm_writes_it() -> None:
    data = base64.b64encode(PEM.encode()).decode()
    text = f"""apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {data}
    server: https://{ENDPOINT}
  name: bank
contexts:
- context:
    cluster: bank
  name: kubernetes-admin@bank
"""
    assert parse_access(text) == Access("bank", f"https://{ENDPOINT}", fingerprint(PEM))
    assert parse_access("not a kubeconfig") == Access("", "", "")


def node(state: str, authority: str = "", record: str = "") -> dict[str, Any]:
    return {"state": state, "authority": authority, "record": record}


def nodes(**states: str) -> dict[str, Any]:
    return {host: node(state, "aa" if state == MEMBER else "") for host, state in states.items()}


CONTROL_PLANES, WORKERS = ["cp1", "cp2", "cp3"], ["worker1"]


def test_the_first_control_plane_makes_the_cluster_and_the_others_join() -> None:
    found = plan(CONTROL_PLANES, WORKERS, nodes(cp1=FRESH, cp2=FRESH, cp3=FRESH, worker1=FRESH))
    assert (found.first, found.init, found.join) == ("cp1", True, ["cp2", "cp3", "worker1"])


def test_a_host_in_both_groups_joins_once() -> None:
    found = plan(["cp1", "cp2"], ["cp2", "worker1"], nodes(cp1=FRESH, cp2=FRESH, worker1=FRESH))
    assert found.join == ["cp2", "worker1"]


def test_who_has_the_cluster_leads_also_if_the_first_host_is_new() -> None:
    found = plan(CONTROL_PLANES, WORKERS, nodes(cp1=FRESH, cp2=MEMBER, cp3=MEMBER, worker1=MEMBER))
    assert (found.first, found.init, found.join) == ("cp2", False, ["cp1"])


def test_where_everybody_is_in_nobody_joins() -> None:
    found = plan(CONTROL_PLANES, WORKERS, nodes(cp1=MEMBER, cp2=MEMBER, cp3=MEMBER, worker1=MEMBER))
    assert (found.first, found.join, found.forget) == ("cp1", [], [])


def test_a_broken_join_is_forgotten_before_it_is_repeated() -> None:
    found = plan(["cp1"], WORKERS, {"cp1": node(MEMBER, "aa"), "worker1": node(BEGUN, record=JOIN)})
    assert (found.join, found.forget) == (["worker1"], ["worker1"])


def test_who_was_making_the_cluster_goes_on() -> None:
    found = plan(["cp1", "cp2"], [], {"cp1": node(FRESH), "cp2": node(BEGUN, record=INIT)})
    assert (found.first, found.init, found.join) == ("cp2", True, ["cp1"])


def test_no_second_cluster_beside_hosts_that_nobody_has_seen() -> None:
    with pytest.raises(KubeadmError, match="whether cp2, cp3 has it is not known: run without --limit"):
        plan(CONTROL_PLANES, WORKERS, nodes(cp1=FRESH))


def test_no_second_cluster_for_workers_that_have_one() -> None:
    with pytest.raises(KubeadmError, match="worker1 belongs to a cluster, and no control plane"):
        plan(["cp1"], WORKERS, nodes(cp1=FRESH, worker1=MEMBER))


def test_a_host_of_another_cluster_is_refused() -> None:
    with pytest.raises(KubeadmError, match="host worker1: it belongs to another cluster than cp1"):
        plan(["cp1"], WORKERS, {"cp1": node(MEMBER, "aa"), "worker1": node(MEMBER, "bb")})


def test_a_worker_outside_of_this_run_is_left_alone() -> None:
    assert plan(["cp1"], ["worker1", "worker2"], nodes(cp1=MEMBER, worker1=FRESH)).join == ["worker1"]


def test_tokens_and_keys_are_not_repeated() -> None:
    digest = f"sha256:{'ab' * 32}"
    said = f"kubeadm join --token abcdef.0123456789abcdef --certificate-key {'cd' * 32} of {digest}"
    assert without_secrets(said) == f"kubeadm join --token (token) --certificate-key (key) of {digest}"


def test_the_reason_is_what_kubeadm_calls_an_error() -> None:
    err = "W1 warning\nerror execution phase preflight: some\n\t[ERROR ImagePull]: failed to pull image x: not found\n"
    assert reason("[init] Using", err) == (
        "error execution phase preflight: some\n[ERROR ImagePull]: failed to pull image x: not found"
    )
    assert reason("last words", "") == "last words"


def test_tokens_are_random_and_of_the_form_that_kubeadm_reads() -> None:
    first, second = random_text(16), random_text(16)
    assert first != second
    assert without_secrets(f"{random_text(6)}.{first}") == "(token)"
