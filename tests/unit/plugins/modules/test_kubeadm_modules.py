"""A cluster is made, and a host comes in, wholly or not at all, wherever the run before was killed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_state import Access, Found, KubeadmError
from ansible_collections.onprem.dify.plugins.modules import (
    kubeadm_init,
    kubeadm_join,
    kubeadm_node,
    kubeadm_token,
    kubernetes_nodes,
    kubernetes_objects,
)

NOTHING = Found()
OURS = Access("bank", "https://10.0.2.10:8443", "aa")
WHOLE = Found(kubelet=OURS, admin=OURS, manifests=["kube-apiserver.yaml"])
INIT = [{"kind": "InitConfiguration"}, {"kind": "ClusterConfiguration"}]
JOIN = [{"kind": "JoinConfiguration"}]


class Recorder:
    """Instead of a host: writes down what is run there, and answers as it is told."""

    installed = True

    def __init__(self, found: Found = NOTHING, answers: Any = None, fails: Sequence[str] = ()) -> None:
        self.now = found
        self.done: list[str] = []
        self.files: list[str] = []
        self.fails = fails
        self.answers: dict[str, str] = answers or {}

    def found(self) -> Found:
        return self.now

    def begin(self, what: str) -> None:
        self.now = Found(record=what)
        self.done.append(f"begin {what}")

    def end(self) -> None:
        self.now = WHOLE
        self.done.append("end")

    def reset(self) -> None:
        self.done.append("reset")
        self.now = Found(record=self.now.record)

    @contextlib.contextmanager
    def secret_file(self, text: str) -> Iterator[Path]:
        self.files.append(text)
        yield Path("/run/secret")

    @contextlib.contextmanager
    def configuration(self, documents: Any) -> Iterator[Path]:
        self.files.append(json.dumps(documents))
        yield Path("/run/configuration")

    def kubeadm(self, *words: str) -> str:
        self.done.append(f"kubeadm {words[0]}")
        if words[0] in self.fails:
            raise KubeadmError("kubeadm failed")
        return ""

    def kubectl(self, *words: str, access: Any = None, data: str = "") -> str:
        code, out, err = self.try_kubectl(*words, data=data)
        if code:
            raise KubeadmError(err)
        return out

    def try_kubectl(self, *words: str, access: Any = None, data: str = "") -> tuple[int, str, str]:
        line = " ".join(words)
        self.done.append(f"kubectl {line}")
        if data:
            self.files.append(data)
        if any(fault in line for fault in self.fails):
            return 1, "", f"refused: {line}"
        return 0, next((answer for part, answer in self.answers.items() if part in line), ""), ""

    def wait_for(self, what: str, seconds: float, *words: str, access: Any = None) -> None:
        if self.try_kubectl(*words)[0]:
            raise KubeadmError(what)

    def ran(self, *starts: str) -> list[str]:
        return [line for line in self.done if line.startswith(starts)]


def init(host: Any) -> str:
    return kubeadm_init.run(host, {"name": "cp1", "documents": INIT, "patience": 1})


STEPS = ("begin", "end", "reset", "kubeadm")


def test_a_fresh_host_becomes_the_first_control_plane() -> None:
    host = Recorder()
    assert init(host) == "init"
    assert host.ran(*STEPS) == ["begin init", "kubeadm init", "end"]


def test_the_token_of_the_first_start_is_deleted() -> None:
    host = Recorder()
    init(host)
    (token,) = json.loads(host.files[0])[0]["bootstrapTokens"]
    assert token["ttl"] == "15m0s"
    assert host.ran("kubectl delete secret")[0].endswith(f"bootstrap-token-{token['token'].partition('.')[0]}")


def test_a_member_is_left_alone_once_its_api_answers() -> None:
    host = Recorder(WHOLE)
    assert init(host) == "none"
    assert host.done == ["kubectl get --raw=/readyz"]
    with pytest.raises(KubeadmError, match="the Kubernetes API does not answer"):
        init(Recorder(WHOLE, fails=["/readyz"]))


def test_a_run_that_was_killed_after_the_end_is_finished() -> None:
    host = Recorder(Found(record="init", manifests=["kube-apiserver.yaml"]))
    assert init(host) == "finish"
    assert host.ran(*STEPS) == ["end"]


@pytest.mark.parametrize("missing", ["/readyz", "daemonset/kube-proxy"])
def test_a_run_that_was_killed_half_way_starts_anew(missing: str) -> None:
    host = Recorder(Found(record="init", manifests=["kube-apiserver.yaml"]), fails=[missing])
    with pytest.raises(KubeadmError):
        init(host)
    # The new one fails here as well, and stays noted.
    assert host.ran(*STEPS) == ["reset", "begin init", "kubeadm init"]
    assert host.found().record == "init"


def test_a_host_without_an_api_is_reset_without_waiting_for_one() -> None:
    host = Recorder(Found(record="init"))
    assert init(host) == "anew"
    assert host.ran(*STEPS) == ["reset", "begin init", "kubeadm init", "end"]


def test_a_failed_init_stays_noted() -> None:
    host = Recorder(fails=["init"])
    with pytest.raises(KubeadmError, match="kubeadm failed"):
        init(host)
    assert host.found().record == "init"


def join(host: Any, control_plane: bool = False) -> str:
    documents = [{"kind": "JoinConfiguration", **({"controlPlane": {}} if control_plane else {})}]
    secrets = {"token": "abcdef.0123456789abcdef", "certificate_key": "key", "authority": "PEM"}
    return kubeadm_join.run(
        host, {"name": "worker1", "documents": documents, "endpoint": "10.0.2.10:8443", "patience": 1, **secrets}
    )


@pytest.fixture
def kubelet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "kubelet.conf"
    path.touch()
    monkeypatch.setattr(kubeadm_join, "KUBELET", path)
    return path


def test_a_host_joins_and_is_seen_by_the_api(kubelet: Path) -> None:
    host = Recorder()
    assert join(host) == "join"
    assert host.ran(*STEPS) == ["begin join", "kubeadm join", "end"]
    assert host.ran("kubectl") == ["kubectl get --output=name node/worker1"]


def test_the_token_stands_in_the_file_of_the_discovery_alone(kubelet: Path) -> None:
    host = Recorder()
    join(host, control_plane=False)
    found, configuration = host.files
    assert json.loads(found)["users"][0]["user"] == {"token": "abcdef.0123456789abcdef"}
    assert json.loads(configuration)[0]["discovery"] == {"file": {"kubeConfigPath": "/run/secret"}}
    assert "abcdef" not in configuration


def test_a_control_plane_brings_the_key_and_is_asked_whether_it_is_ready(kubelet: Path) -> None:
    host = Recorder(answers={"--selector": "node/worker1\n"})
    assert join(host, control_plane=True) == "join"
    assert json.loads(host.files[1])[0]["controlPlane"] == {"certificateKey": "key"}
    assert any("--server=https://127.0.0.1:6443" in line for line in host.done)


def test_a_control_plane_that_the_cluster_does_not_call_one_has_not_come_in(kubelet: Path) -> None:
    with pytest.raises(KubeadmError, match="the API does not hold the node"):
        join(Recorder(answers={"--selector": ""}), control_plane=True)


def test_a_join_that_was_killed_after_the_end_is_finished(kubelet: Path) -> None:
    host = Recorder(Found(record="join"))
    assert join(host) == "finish"
    assert host.ran(*STEPS) == ["end"]


def test_a_join_that_was_killed_half_way_starts_anew(kubelet: Path) -> None:
    kubelet.unlink()
    host = Recorder(Found(record="join"))
    with pytest.raises(KubeadmError):
        join(host)
    assert host.ran(*STEPS) == ["reset", "begin join", "kubeadm join"]


def test_who_was_making_a_cluster_and_is_to_join_another_is_reset(kubelet: Path) -> None:
    host = Recorder(Found(record="init"))
    assert join(host) == "anew"
    assert host.ran(*STEPS) == ["reset", "begin join", "kubeadm join", "end"]


def test_a_member_does_not_join(kubelet: Path) -> None:
    host = Recorder(WHOLE)
    assert join(host) == "none"
    assert host.done == []


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pki").mkdir()
    (tmp_path / "pki/ca.crt").write_text("PEM")
    monkeypatch.setattr(kubeadm_token, "KUBERNETES", tmp_path)


def invite(host: Any, **changes: Any) -> dict[str, str]:
    params = {"forget": [], "seconds": 900, "control_planes": False, "documents": INIT, **changes}
    return kubeadm_token.invite(host, params)


def test_an_invitation_ends_by_itself_and_stands_in_no_command(authority: None) -> None:
    host = Recorder()
    found = invite(host)
    secret = json.loads(host.files[0])
    assert ".".join(secret["stringData"][key] for key in ("token-id", "token-secret")) == found["token"]
    assert secret["stringData"]["expiration"].endswith("Z")
    assert found["token"].partition(".")[2] not in " ".join(host.done)
    assert (found["authority"], found["certificate_key"]) == ("PEM", "")


def test_control_planes_get_a_key_in_a_file_of_its_own(authority: None) -> None:
    host = Recorder()
    found = invite(host, control_planes=True)
    assert json.loads(host.files[1])[0]["certificateKey"] == found["certificate_key"]
    assert found["certificate_key"] not in " ".join(host.done)


def test_broken_joins_are_forgotten(authority: None) -> None:
    host = Recorder()
    invite(host, forget=["worker1"])
    assert host.done[0] == "kubectl delete node --ignore-not-found worker1"


def test_all_of_an_invitation_is_taken_back() -> None:
    host = Recorder(answers={"ownerReferences": "bootstrap-token-zzzzzz"})
    kubeadm_token.take_back(host, "abcdef.0123456789abcdef")
    assert host.done[1].split()[-3:] == ["bootstrap-token-abcdef", "kubeadm-certs", "bootstrap-token-zzzzzz"]


@pytest.mark.parametrize(
    ("found", "said"),
    [("1.36.3", "an upgrade is a step of its own"), ("1.34.0", "1.35 comes next"), ("1.37.0", "does not go back")],
)
def test_another_version_is_refused_with_the_reason(found: str, said: str) -> None:
    with pytest.raises(KubeadmError, match=rf"host cp1: it runs Kubernetes {found}, .* {said}"):
        kubeadm_node.refuse_version("cp1", found, "1.36.4")
    kubeadm_node.refuse_version("cp1", "1.36.4", "1.36.4")
    kubeadm_node.refuse_version("cp1", "", "1.36.4")


CONFIG = {"kind": "ConfigMap", "metadata": {"name": "one", "namespace": "here"}, "data": {"a": "1"}}


@pytest.fixture
def admin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "admin.conf"
    path.touch()
    monkeypatch.setattr(kubernetes_objects, "ADMIN", path)
    monkeypatch.setattr(kubernetes_nodes, "ADMIN", path)
    return path


def changes(host: Any, check_mode: bool = False) -> list[tuple[str, bool]]:
    found = kubernetes_objects.differences(host, [CONFIG], check_mode)
    return [(str(key), before is None) for key, before, _after in found]


def test_an_object_that_is_missing_is_made(admin: Path) -> None:
    assert changes(Recorder()) == [("here/configmap/one", True)]


def test_an_object_is_compared_with_what_the_server_would_make_of_it(admin: Path) -> None:
    there = json.dumps(CONFIG)
    assert changes(Recorder(answers={"get": there, "apply": there})) == []
    other = json.dumps({**CONFIG, "data": {"a": "2"}})
    assert changes(Recorder(answers={"get": other, "apply": there})) == [("here/configmap/one", False)]


def test_without_a_cluster_the_dry_run_predicts_everything(admin: Path) -> None:
    admin.unlink()
    assert changes(Recorder(fails=["get"]), check_mode=True) == [("here/configmap/one", True)]
    assert kubernetes_nodes.see(Recorder(fails=["get"]), {"nodes": [], "patience": 0}, check_mode=True) == {}


DAEMON = {"kind": "DaemonSet", "metadata": {"generation": 2}, "spec": {}}


def test_what_does_not_roll_out_is_named_with_the_last_warnings(admin: Path) -> None:
    answers = {"daemonset": json.dumps(DAEMON), "events": "kube-flannel-ds-x   Failed to pull image: not found\n"}
    params = {"patience": 0, "rollouts": ["kube-flannel/daemonset/kube-flannel-ds"], "nodes_ready": False}
    with pytest.raises(KubeadmError, match=r"kube-flannel-ds is not there after 0 s.*\n.*Failed to pull image"):
        kubernetes_objects.wait(Recorder(answers=answers), params)


def test_a_node_that_is_missing_is_named(admin: Path) -> None:
    host = Recorder(answers={"nodes": json.dumps({"kind": "List", "items": []})})
    with pytest.raises(KubeadmError, match="the cluster has no node worker1 after 0 s"):
        kubernetes_nodes.see(host, {"nodes": [{"name": "worker1"}], "patience": 0}, check_mode=False)


def test_a_job_that_failed_is_named_with_its_last_words_and_not_waited_for(admin: Path) -> None:
    condition = {"type": "Failed", "status": "True"}
    answers = {"job/": json.dumps({"kind": "Job", "metadata": {}, "status": {"conditions": [condition]}})}
    answers = {"logs": "migration: the database lacks the extension uuid-ossp\n", **answers}
    params = {"patience": 60, "rollouts": ["dify/job/migration-1"], "nodes_ready": False}
    with pytest.raises(KubeadmError, match="dify/job/migration-1 failed: migration: the database lacks the extension"):
        kubernetes_objects.wait(Recorder(answers=answers), params)


def test_the_dry_run_goes_on_without_a_certificate_and_a_run_does_not(tmp_path: Path) -> None:
    template = {"metadata": {}}
    router = {"kind": "Deployment", "metadata": {"namespace": "dify", "name": "router"}, "spec": {"template": template}}
    use = {"directory": str(tmp_path), "secret": "dify/router-tls", "used_by": "dify/deployment/router"}
    params = {"objects": [router], "certificates": [use]}
    assert [item["kind"] for item in kubernetes_objects.certified(params, check_mode=True)] == ["Secret", "Deployment"]
    with pytest.raises(KubeadmError, match=r"tls.crt and .*tls.key missing, wanted: the certificate for dify/deploy"):
        kubernetes_objects.certified(params, check_mode=False)
