"""Certificates of a control plane: which are due, who has to start anew, what is told of them."""

from __future__ import annotations

import json
import os
import ssl
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import kubeadm_certificates as certificates
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_certificates import (
    Certificate,
    CertificateError,
    Container,
)

NOW = 1_795_867_200.0
DAY = certificates.DAY


def entry(name: str, end: str | None, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "expirationDate": end,
        "residualTime": 1,
        "externallyManaged": False,
        "missing": False,
        **more,
    }


# As kubeadm 1.36 prints it.
PRINTED = json.dumps(
    {
        "kind": "CertificateExpirationInfo",
        "certificates": [
            entry("apiserver", "2026-12-28T12:00:00Z", caName="ca"),
            entry("super-admin.conf", None, missing=True),
            entry("front-proxy-client", "2026-11-28T12:00:00Z", externallyManaged=True),
        ],
        "certificateAuthorities": [entry("ca", "2026-12-08T12:00:00Z")],
    }
)
APISERVER = Certificate("apiserver", int(NOW) + 30 * DAY)
AUTHORITY = Certificate("ca", int(NOW) + 10 * DAY, authority=True)


def test_what_kubeadm_says_is_read_and_what_it_does_not_keep_is_left_out() -> None:
    assert certificates.parse(f"[check-expiration] Reading configuration\n{PRINTED}") == [APISERVER, AUTHORITY]


@pytest.mark.parametrize("text", ["", "{}", '{"certificates": [{}], "certificateAuthorities": []}'])
def test_what_cannot_be_read_is_no_certificate_that_lasts(text: str) -> None:
    with pytest.raises(CertificateError, match="printed"):
        certificates.parse(text)


@pytest.mark.parametrize(("days", "names"), [(30, []), (31, ["apiserver"])])
def test_a_certificate_is_due_when_fewer_days_are_left_and_an_authority_never(days: int, names: list[str]) -> None:
    assert certificates.due([APISERVER, AUTHORITY], days, NOW) == names


def container(name: str, started: int) -> dict[str, Any]:
    return {
        "id": f"{name}-{started}",
        "metadata": {"name": name},
        "labels": {"io.kubernetes.pod.name": f"{name}-cp1"},
        "createdAt": str(started),
    }


def test_of_a_container_that_was_restarted_the_newest_counts() -> None:
    text = json.dumps({"containers": [container("kube-scheduler", 5), container("kube-scheduler", 9)]})
    assert certificates.parse_containers(text) == {
        "kube-scheduler": Container("kube-scheduler-9", "kube-scheduler", "kube-scheduler-cp1", 9)
    }
    assert certificates.parse_containers('{"containers": null}') == {}


def test_who_started_before_its_certificate_was_written_starts_anew() -> None:
    found = {name: Container(name, name, f"{name}-cp1", 5) for name in ("kube-controller-manager", "kube-scheduler")}
    written = {"controller-manager.conf": 6, "scheduler.conf": 4}
    assert [one.name for one in certificates.stale(found, written)] == ["kube-controller-manager"]
    assert certificates.stale({}, written) == []
    assert certificates.stale(found, {}) == []


@pytest.mark.parametrize(
    ("status", "ready"),
    [
        ({"containerID": "containerd://new", "ready": True}, True),
        ({"containerID": "containerd://new", "ready": False}, False),
        ({"containerID": "containerd://old", "ready": True}, False),
    ],
)
def test_a_pod_is_back_when_its_new_container_is_ready(status: dict[str, Any], ready: bool) -> None:
    assert certificates.is_ready({"status": {"containerStatuses": [status]}}, "new") is ready
    assert not certificates.is_ready({}, "new")


def test_the_metric_says_the_end_and_the_days_that_are_left() -> None:
    text = certificates.metric_text([APISERVER, AUTHORITY], NOW)
    assert 'onprem_dify_kubernetes_certificate_days_left{name="apiserver"} 30\n' in text
    assert f'onprem_dify_kubernetes_certificate_not_after_seconds{{name="ca"}} {AUTHORITY.end}\n' in text
    assert text.count("# TYPE") == 2


class Host:
    """What kubeadm, crictl and kubectl do on a control plane, as far as a renewal shows it."""

    def __init__(self, folder: Path, end: str) -> None:
        self.folder, self.end = folder, end
        self.done: list[str] = []
        self.started = {"kube-controller-manager": 1, "kube-scheduler": 1}
        for file in certificates.HOLDERS.values():
            (folder / file).write_text("old")
            os.utime(folder / file, ns=(1, 1))

    def __call__(self, command: list[str]) -> str:
        self.done.append(" ".join(command[:3]))
        if command[:3] == ["kubeadm", "certs", "renew"]:
            self.end = "2027-11-28T12:00:00Z"
            for file in certificates.HOLDERS.values():
                os.utime(self.folder / file, ns=(5, 5))
        if command[:2] == ["kubeadm", "certs"]:
            return json.dumps({"certificates": [entry("apiserver", self.end)], "certificateAuthorities": []})
        if command[:2] == ["crictl", "stop"]:
            self.started[command[-1].rpartition("-")[0]] = 9
        if command[0] == "kubectl":
            name = command[-2].partition("/")[2].removesuffix("-cp1")
            status = {"containerID": f"containerd://{name}-{self.started[name]}", "ready": True}
            return json.dumps({"status": {"containerStatuses": [status]}})
        return json.dumps({"containers": [container(name, at) for name, at in self.started.items()]})


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Servers that have taken in what they are asked for."""
    asked: list[str] = []

    class Server:
        def __init__(self, name: str) -> None:
            self.name = name

        def shows(self) -> bool:
            asked.append(self.name)
            return True

    monkeypatch.setattr(certificates, "KUBERNETES", tmp_path)
    monkeypatch.setattr(certificates, "SERVERS", {name: Server(name) for name in ("kube-apiserver", "etcd")})
    return asked


def test_what_ends_soon_is_renewed_and_taken_in_without_stopping_the_api(shown: list[str], tmp_path: Path) -> None:
    host = Host(tmp_path, "2026-12-28T12:00:00Z")
    outcome = certificates.renew(host, 60, 5, now=lambda: NOW)
    assert outcome.renewed == ["apiserver"]
    assert outcome.found[0].days_left(NOW) == 365
    assert outcome.restarted == ["kube-controller-manager", "kube-scheduler"]
    assert shown == ["kube-apiserver", "etcd"]
    assert not [line for line in host.done if "apiserver" in line or "etcd" in line]


def test_what_lasts_is_left_alone(shown: list[str], tmp_path: Path) -> None:
    host = Host(tmp_path, "2027-06-28T12:00:00Z")
    outcome = certificates.renew(host, 60, 5, now=lambda: NOW)
    assert (outcome.renewed, outcome.restarted) == ([], [])
    assert host.done == ["kubeadm certs check-expiration", "crictl ps --state=Running"]


def test_what_a_killed_run_has_renewed_is_taken_in_by_the_next(shown: list[str], tmp_path: Path) -> None:
    host = Host(tmp_path, "2027-06-28T12:00:00Z")
    os.utime(tmp_path / "scheduler.conf", ns=(5, 5))
    assert certificates.renew(host, 60, 5, now=lambda: NOW).restarted == ["kube-scheduler"]


def test_a_server_that_keeps_its_old_certificate_fails_the_renewal(
    monkeypatch: pytest.MonkeyPatch, shown: list[str], tmp_path: Path
) -> None:
    class Stubborn:
        def shows(self) -> bool:
            return False

    monkeypatch.setattr(certificates, "SERVERS", {"kube-apiserver": Stubborn()})
    with pytest.raises(CertificateError, match="kube-apiserver still shows its old certificate"):
        certificates.renew(Host(tmp_path, "2026-12-28T12:00:00Z"), 60, 0, now=lambda: NOW)


def test_who_does_not_answer_shows_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(context: Any, port: int) -> bytes:
        raise ConnectionRefusedError

    monkeypatch.setattr(certificates, "shown", refuse)
    monkeypatch.setattr(ssl, "create_default_context", lambda cafile: object())
    path = tmp_path / "tls.crt"
    path.write_text("-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n")
    assert certificates.Server(1, path, path).shows() is False
    monkeypatch.setattr(certificates, "shown", lambda context, port: b"ABC")
    assert certificates.Server(1, path, path).shows() is True


def test_a_program_that_fails_says_why() -> None:
    assert certificates.execute(["echo", "yes"]) == "yes\n"
    with pytest.raises(CertificateError, match="ls /nowhere: "):
        certificates.execute(["ls", "/nowhere"])
