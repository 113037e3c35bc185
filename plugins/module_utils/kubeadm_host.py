# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubeadm and kubectl on one host: what stands there, and what is run there."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.onprem.dify.plugins.module_utils import kubeadm_state as state
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_state import KubeadmError

KUBERNETES = Path("/etc/kubernetes")
ADMIN = KUBERNETES / "admin.conf"
KUBELET = KUBERNETES / "kubelet.conf"
# Of a control plane, whatever the endpoint leads to.
OWN_API = "--server=https://127.0.0.1:6443"
OWN_API_READY = ("get", OWN_API, "--raw=/readyz")
# Written before kubeadm begins and removed once it is known that all is there, so it survives whoever was killed.
RECORD = Path("/var/lib/onprem-dify/kubeadm.begun")
# In memory: what stands here for a moment, tokens too, is gone with the power.
SCRATCH = Path("/run/onprem-dify/kubeadm")
LEFTOVERS = ("pki/ca.crt", "pki/ca.key", "admin.conf", "super-admin.conf", "bootstrap-kubelet.conf")
# Of the network of a cluster that is no more. kubeadm leaves them.
NETWORK_FILES = (Path("/etc/cni/net.d/10-flannel.conflist"), Path("/run/flannel/subnet.env"))
NETWORK_LINKS = ("cni0", "flannel.1", "flannel-wg")

Document = Mapping[str, Any]


class Host:
    """`module` is the AnsibleModule."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._lock: Optional[int] = None

    # What stands there

    def found(self) -> state.Found:
        manifests = KUBERNETES / "manifests"
        rest = [str(KUBERNETES / name) for name in LEFTOVERS if (KUBERNETES / name).exists()]
        return state.Found(
            record=_read(RECORD).strip(),
            kubelet=_access(KUBELET),
            admin=_access(ADMIN),
            manifests=sorted(path.name for path in manifests.glob("*.yaml")) if manifests.is_dir() else [],
            rest=rest,
        )

    @property
    def installed(self) -> bool:
        return bool(self._program("kubeadm") and self._program("kubectl"))

    # What is run there

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Wait for a kubeadm whose controller was killed, and which is still at work."""
        SCRATCH.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(SCRATCH / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(self._lock)
            self._lock = None

    def begin(self, what: str) -> None:
        RECORD.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with RECORD.open("w", encoding="utf-8") as file:
            file.write(f"{what}\n")
            file.flush()
            os.fsync(file.fileno())

    def end(self) -> None:
        RECORD.unlink()

    @contextlib.contextmanager
    def secret_file(self, text: str) -> Iterator[Path]:
        SCRATCH.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=str(SCRATCH), suffix=".yaml")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            yield Path(name)
        finally:
            Path(name).unlink()

    @contextlib.contextmanager
    def configuration(self, documents: Sequence[Document]) -> Iterator[Path]:
        """The documents in a file of the host's memory, accepted by kubeadm. JSON is YAML, too."""
        with self.secret_file("---\n".join(f"{json.dumps(document)}\n" for document in documents)) as path:
            self.kubeadm("config", "validate", f"--config={path}")
            yield path

    def kubeadm(self, *words: str) -> str:
        # Who waits for the lock waits for kubeadm itself, as it keeps the file open.
        kept = [self._lock] if self._lock is not None else None
        code, out, err = self._module.run_command([str(self._program("kubeadm")), *words], pass_fds=kept)
        if code != 0:
            raise KubeadmError(f"kubeadm {' '.join(words[:2])}: {state.reason(out, err)}")
        return str(out)

    def kubectl(self, *words: str, access: Path = ADMIN, data: str = "") -> str:
        code, out, err = self.try_kubectl(*words, access=access, data=data)
        if code != 0:
            raise KubeadmError(f"kubectl {' '.join(words[:3])}: {state.without_secrets(err or out).strip()}")
        return out

    def try_kubectl(self, *words: str, access: Path = ADMIN, data: str = "") -> Tuple[int, str, str]:
        command = self.kubectl_command("--request-timeout=20s", *words, access=access)
        code, out, err = self._module.run_command(command, data=data or None)
        return int(code), str(out), str(err)

    def kubectl_command(self, *words: str, access: Path = ADMIN) -> List[str]:
        return [str(self._program("kubectl")), f"--kubeconfig={access}", *words]

    def wait_for(self, what: str, seconds: float, *words: str, access: Path = ADMIN) -> None:
        """Repeat a question until it is answered."""
        deadline = time.monotonic() + seconds
        while True:
            code, out, err = self.try_kubectl(*words, access=access)
            if code == 0:
                return
            if time.monotonic() >= deadline:
                said = state.without_secrets(err or out).strip().splitlines()
                raise KubeadmError(f"{what} after {seconds:g} s: {said[-1] if said else 'no answer'}")
            time.sleep(1)

    def reset(self) -> None:
        """Take everything away that kubeadm began with, down to the network of the pods."""
        self.kubeadm("reset", "--force", "--cleanup-tmp-dir")
        for path in NETWORK_FILES:
            path.unlink(missing_ok=True)
        for link in NETWORK_LINKS:
            if Path("/sys/class/net", link).exists():
                self._module.run_command(["ip", "link", "delete", link], check_rc=True)

    def _program(self, name: str) -> Optional[str]:
        found = self._module.get_bin_path(name, required=False, opt_dirs=["/usr/local/bin"])
        return str(found) if found else None


def bring(module: Any, what: str, run: Callable[[Host, Dict[str, Any]], str]) -> None:
    """Bring the host into a cluster, `init` or `join`, and end the module. In check mode, say what would happen."""
    host, params = Host(module), module.params
    try:
        if module.check_mode:
            action = state.action(host.found(), what)
        else:
            with host.alone():
                action = run(host, params)
    except KubeadmError as error:
        module.fail_json(msg=f"host {params['name']}: {error}")
    changed = action != "none"
    text = json.dumps(params["documents"], indent=2) + "\n"
    diff = {"before": "", "after": f"kubeadm {action}\n{text}"} if changed else {}
    module.exit_json(changed=changed, action=action, diff=diff)


def within(seconds: float, reached: Callable[[], bool], pause: float = 1) -> bool:
    """Whether something comes about in this time; it is looked at least once."""
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
    return True


def write_private(path: Path, beside: Path, text: str) -> None:
    """Wholly or not at all, and never for others to read. `beside`: where it is made, on the same file system."""
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def completed(documents: Sequence[Document], kind: str, **fields: Any) -> List[Document]:
    """The documents, the one of a kind with what is not known before it is used."""
    return [{**document, **fields} if document["kind"] == kind else document for document in documents]


def objects(text: str) -> List[Dict[str, Any]]:
    """The objects of what kubectl printed as JSON: one, a list, or nothing."""
    if not text.strip():
        return []
    parsed = json.loads(text)
    return list(parsed["items"]) if parsed.get("kind") == "List" else [parsed]


def _access(path: Path) -> Optional[state.Access]:
    text = _read(path)
    return state.parse_access(text) if text else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ""
