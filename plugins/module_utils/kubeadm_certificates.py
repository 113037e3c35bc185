# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates that kubeadm made on a control plane: watched, renewed, taken in. A timer runs this very file.

Nothing of the collection is imported: the host has this file alone.

The API server and etcd read their files again by themselves, so neither stops: it is only seen to that they show the
new ones. The controller manager and the scheduler hold theirs from their start, and serve nobody: they are restarted.
"""

from __future__ import annotations

import argparse
import datetime
import json
import socket
import ssl
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Sequence, Tuple

KUBERNETES = Path("/etc/kubernetes")
PKI = KUBERNETES / "pki"
METRIC = Path("/var/lib/node_exporter/textfile/onprem_dify_kubernetes_certificates.prom")
DAY = 86400

# Who holds its certificate from its start, by the file in which it stands.
HOLDERS = {"kube-controller-manager": "controller-manager.conf", "kube-scheduler": "scheduler.conf"}

# What a program prints; raises CertificateError where it fails.
Run = Callable[[List[str]], str]


class CertificateError(Exception):
    """The certificates are not as they have to be; the text is for the user."""


class Certificate(NamedTuple):
    """`end`: seconds since the epoch."""

    name: str
    end: int
    authority: bool = False

    def days_left(self, now: float) -> int:
        return int((self.end - now) // DAY)


def parse(text: str) -> List[Certificate]:
    """What `kubeadm certs check-expiration --output=json` says; kubeadm speaks before it prints that."""
    try:
        found = json.loads(text[text.index("{") :])
        leaves = [(entry, False) for entry in found["certificates"]]
        authorities = [(entry, True) for entry in found["certificateAuthorities"]]
        return [
            Certificate(entry["name"], _seconds(entry["expirationDate"]), authority)
            for entry, authority in leaves + authorities
            if not entry.get("missing") and not entry.get("externallyManaged")
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise CertificateError(f"kubeadm certs check-expiration printed {text.strip()[:200]!r}") from error


def _seconds(text: str) -> int:
    return int(datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").timestamp())


def look(run: Run) -> List[Certificate]:
    return parse(run(["kubeadm", "certs", "check-expiration", "--output=json"]))


def due(found: Sequence[Certificate], days: int, now: float) -> List[str]:
    """The certificates with fewer days left. The authorities live ten years, and replacing them is no renewal."""
    return [one.name for one in found if not one.authority and one.days_left(now) < days]


class Container(NamedTuple):
    """A container of a static pod. `started`: nanoseconds since the epoch."""

    id: str
    name: str
    pod: str
    started: int


def parse_containers(text: str) -> Dict[str, Container]:
    """What `crictl ps --output=json` says, by name of the container; of several the newest."""
    found: Dict[str, Container] = {}
    for entry in json.loads(text).get("containers") or []:
        name = entry["metadata"]["name"]
        one = Container(entry["id"], name, entry["labels"].get("io.kubernetes.pod.name", ""), int(entry["createdAt"]))
        if name not in found or found[name].started < one.started:
            found[name] = one
    return found


def stale(containers: Dict[str, Container], written: Dict[str, int]) -> List[Container]:
    """Who runs with an older file than stands on the disk. `written`: when each file was, in nanoseconds."""
    return [
        containers[name]
        for name, file in sorted(HOLDERS.items())
        if name in containers and file in written and containers[name].started < written[file]
    ]


def is_ready(pod: Dict[str, Any], container: str) -> bool:
    """Whether a pod runs in this container, and is past its first probes."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    return any(one.get("containerID", "").endswith(container) and one.get("ready") for one in statuses)


def metric_text(found: Sequence[Certificate], now: float) -> str:
    """The end of each certificate, and the days until then, in the text format of Prometheus."""
    lines = []
    for metric, about, value in (
        ("not_after_seconds", "End of the certificate, in seconds since the epoch.", lambda one: one.end),
        (
            "days_left",
            "Days until the end of the certificate, when it was last looked at.",
            lambda one: one.days_left(now),
        ),
    ):
        name = f"onprem_dify_kubernetes_certificate_{metric}"
        lines += [f"# HELP {name} {about}", f"# TYPE {name} gauge"]
        lines += [f'{name}{{name="{one.name}"}} {value(one)}' for one in sorted(found)]
    return "\n".join(lines) + "\n"


def write_metric(path: Path, text: str) -> None:
    """Never half a file: the exporter reads at any time."""
    beside = path.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    beside.chmod(0o644)
    beside.replace(path)


class Outcome(NamedTuple):
    """`found`: the certificates after all. `renewed` and `restarted`: what was due, by name."""

    found: List[Certificate]
    renewed: List[str]
    restarted: List[str]


def renew(run: Run, days: int, patience: float, now: Callable[[], float] = time.time) -> Outcome:
    """Renew all if one is due, and have them taken in. Also what a run that was killed has not got to."""
    found = look(run)
    names = due(found, days, now())
    if names:
        run(["kubeadm", "certs", "renew", "all"])
        found = look(run)
    restarted = take_in(run, patience)
    return Outcome(found, names, restarted)


def take_in(run: Run, patience: float) -> List[str]:
    old = stale(running(run), written())
    for container in old:
        run(["crictl", "stop", "--timeout=30", container.id])
    deadline = time.monotonic() + patience
    for container in old:
        _until(deadline, partial(_is_back, run, container), f"{container.name} is not back with its new certificate")
    for name, server in SERVERS.items():
        _until(deadline, server.shows, f"{name} still shows its old certificate")
    return [container.name for container in old]


def _until(deadline: float, reached: Callable[[], bool], problem: str) -> None:
    while not reached():
        if time.monotonic() >= deadline:
            raise CertificateError(f"{problem}: `crictl ps --all` and `journalctl -u kubelet` say more")
        time.sleep(1)


def running(run: Run) -> Dict[str, Container]:
    return parse_containers(run(["crictl", "ps", "--state=Running", "--name=^kube-", "--output=json"]))


def written() -> Dict[str, int]:
    paths = [KUBERNETES / file for file in HOLDERS.values()]
    return {path.name: path.stat().st_mtime_ns for path in paths if path.exists()}


def _is_back(run: Run, old: Container) -> bool:
    new = running(run).get(old.name)
    if new is None or new.id == old.id:
        return False
    words = ["kubectl", f"--kubeconfig={KUBERNETES}/admin.conf", "--request-timeout=10s", "--namespace=kube-system"]
    return is_ready(json.loads(run([*words, "get", f"pod/{old.pod}", "--output=json"])), new.id)


class Server(NamedTuple):
    """Who shows a certificate on this host. `client`: with what it lets in; empty where it asks for nothing."""

    port: int
    certificate: Path
    authority: Path
    client: Tuple[str, ...] = ()

    def shows(self) -> bool:
        """Whether it shows the certificate that stands on the disk."""
        context = ssl.create_default_context(cafile=str(self.authority))
        if self.client:
            context.load_cert_chain(*self.client)
        wanted = ssl.PEM_cert_to_DER_cert(_first(self.certificate.read_text(encoding="utf-8")))
        try:
            return shown(context, self.port) == wanted
        except OSError:
            return False


def _first(pem: str) -> str:
    end = "-----END CERTIFICATE-----"
    return pem.partition(end)[0] + end


def shown(context: ssl.SSLContext, port: int) -> bytes:
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    with plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as secured:
        return secured.getpeercert(binary_form=True) or b""


_CLIENT = (str(PKI / "etcd/healthcheck-client.crt"), str(PKI / "etcd/healthcheck-client.key"))
SERVERS = {
    "kube-apiserver": Server(6443, PKI / "apiserver.crt", PKI / "ca.crt"),
    "etcd": Server(2379, PKI / "etcd/server.crt", PKI / "etcd/ca.crt", _CLIENT),
}


def execute(command: List[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise CertificateError(f"{' '.join(command[:3])}: {said[-1] if said else f'exit code {done.returncode}'}")
    return done.stdout


def main() -> int:
    parser = argparse.ArgumentParser(description="Renew the certificates of this control plane before they end.")
    parser.add_argument("--days", type=int, required=True, help="days left below which they are renewed")
    parser.add_argument("--patience", type=float, default=180, help="seconds in which they have to be taken in")
    asked = parser.parse_args()
    try:
        outcome = renew(execute, asked.days, asked.patience)
    except (CertificateError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    write_metric(METRIC, metric_text(outcome.found, time.time()))
    renewed, restarted = (", ".join(names) or "nothing" for names in (outcome.renewed, outcome.restarted))
    sys.stdout.write(f"renewed: {renewed}; restarted: {restarted}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
