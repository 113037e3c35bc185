"""Changes to a running control plane: waited for, taken back where they fail, and never half done."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import kubernetes_encryption as encryption
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_state import KubeadmError
from ansible_collections.onprem.dify.plugins.modules import etcd_restore, kubeadm_manifests, kubernetes_encryption

LOADED = "apiserver_encryption_config_controller_last_config_info"
OLD, NEW = encryption.key_of("b2xk"), encryption.key_of("bmV3")


class Kubectl:
    """A cluster that does what it is told, and remembers it."""

    def __init__(self, ready: bool = True) -> None:
        self.ready = ready
        self.written: list[str] = []

    def try_kubectl(self, *words: str, data: str = "") -> tuple[int, str, str]:
        if "replace" in words:
            self.written.append(data)
        return (0, "ok", "") if self.ready else (1, "", "refused")

    def kubectl(self, *words: str, data: str = "") -> str:
        self.try_kubectl(*words, data=data)
        if "--raw=/metrics" in words:
            return f'{LOADED}{{hash="sha256:{encryption.checksum("new")}"}} 1\n'
        items = [{"metadata": {"name": name}} for name in ("old", "new")]
        return json.dumps({"kind": "List", "items": items})


class Module:
    """`answers`: what is printed, one after the other; the last one again and again."""

    def __init__(self, *answers: str, check_mode: bool = False) -> None:
        self.answers = list(answers)
        self.check_mode = check_mode
        self.params = {"patience": 0}

    def get_bin_path(self, name: str, **_options: Any) -> str:
        return name

    def run_command(self, _command: list[str], **_options: Any) -> tuple[int, str, str]:
        return 0, self.answers.pop(0) if len(self.answers) > 1 else self.answers[0], ""


def stored(**writers: Any) -> str:
    entries = [
        {
            "key": base64.b64encode(f"/registry/secrets/default/{name}".encode()).decode(),
            "value": base64.b64encode(writer.prefix + b"...").decode(),
        }
        for name, writer in writers.items()
    ]
    return json.dumps({"kvs": entries})


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Kubectl:
    found = Kubectl()
    monkeypatch.setattr(kubernetes_encryption, "Host", lambda module: found)
    return found


def test_what_another_key_has_written_is_written_anew_and_nothing_else(host: Kubectl) -> None:
    module = Module(stored(old=OLD, new=NEW), stored(old=NEW, new=NEW))
    assert kubernetes_encryption.rewrite(module, NEW) == 1
    (text,) = host.written
    assert [item["metadata"]["name"] for item in json.loads(text)["items"]] == ["old"]


def test_where_all_are_written_by_the_key_nothing_is_done(host: Kubectl) -> None:
    assert kubernetes_encryption.rewrite(Module(stored(new=NEW)), NEW) == 0
    assert kubernetes_encryption.rewrite(Module(stored(old=OLD), check_mode=True), NEW) == 1
    assert host.written == []


def test_a_secret_that_stays_with_the_old_key_ends_the_rotation(host: Kubectl) -> None:
    with pytest.raises(
        encryption.EncryptionError, match="1 secrets are still written by another key, default/old among"
    ):
        kubernetes_encryption.rewrite(Module(stored(old=OLD)), NEW)
    assert len(host.written) == kubernetes_encryption.ATTEMPTS


def test_the_configuration_is_for_root_alone_and_never_half(tmp_path: Path) -> None:
    path = tmp_path / "own/encryption.yaml"
    for text in ("first\n", "second\n"):
        kubernetes_encryption.write(path, text)
        assert path.read_text() == text
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["encryption.yaml"]


def test_the_api_server_has_to_work_with_the_configuration() -> None:
    kubernetes_encryption.wait(Kubectl(), encryption.checksum("new"), patience=0)
    with pytest.raises(encryption.EncryptionError, match="has not taken it in after 0 s"):
        kubernetes_encryption.wait(Kubectl(), encryption.checksum("other"), patience=0)


def test_after_a_restore_the_api_of_the_host_itself_is_asked() -> None:
    asked: list[str] = []

    class Asked(Module):
        def run_command(self, command: list[str], **options: Any) -> tuple[int, str, str]:
            asked.extend(command)
            return super().run_command(command, **options)

    assert etcd_restore.ready(Asked("ok")) is True
    assert asked[:2] == ["kubectl", "--kubeconfig=/etc/kubernetes/admin.conf"]
    assert asked[2:] == ["--request-timeout=5s", "get", "--server=https://127.0.0.1:6443", "--raw=/readyz"]


@pytest.fixture
def manifests(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(kubeadm_manifests, "KUBERNETES", tmp_path)
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "kube-apiserver.yaml").write_text("old")
    return folder


KEPT = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "b"}, "data": {}})
WANTED, FOUND = {"kube-apiserver": "new"}, {"kube-apiserver": "old"}


def test_an_api_server_that_is_ready_keeps_its_new_settings(manifests: Path) -> None:
    kubectl = Kubectl()
    kubeadm_manifests.take_in(Module("one", "two"), kubectl, ["kube-apiserver"], WANTED, FOUND, KEPT)
    assert kubeadm_manifests.read(manifests) == WANTED
    assert (manifests / "kube-apiserver.yaml").stat().st_mode & 0o777 == 0o600
    assert kubectl.written == []


def test_an_api_server_that_does_not_start_gets_its_earlier_settings_back(manifests: Path) -> None:
    kubectl = Kubectl()
    with pytest.raises(KubeadmError, match="Its earlier ones are back, and it runs"):
        kubeadm_manifests.take_in(Module("one"), kubectl, ["kube-apiserver"], WANTED, FOUND, KEPT)
    assert kubeadm_manifests.read(manifests) == FOUND
    assert json.loads(kubectl.written[0])["metadata"]["name"] == "a"


def test_a_containerd_that_does_not_answer_for_a_moment_ends_nothing() -> None:
    class Silent(Module):
        def run_command(self, _command: list[str], **options: Any) -> tuple[int, str, str]:
            assert not options.get("check_rc")
            return 1, "", "no answer"

    assert kubeadm_manifests.started(Silent(""), Kubectl(), "kube-apiserver", "one") is False
    # Whether something runs is not known then, so it may.
    assert etcd_restore.running(Silent("")) is True
    assert etcd_restore.running(Module("one\n")) is True
    assert etcd_restore.running(Module("\n")) is False


def test_one_that_runs_with_none_is_said_to(manifests: Path) -> None:
    with pytest.raises(KubeadmError, match="and it does not run either"):
        kubeadm_manifests.take_in(Module("one"), Kubectl(ready=False), ["kube-apiserver"], WANTED, FOUND, KEPT)
