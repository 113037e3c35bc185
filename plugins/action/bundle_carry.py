# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verify a bundle on the controller, and send a mirror the blobs that it lacks over Ansible's own connection."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import LOCK, Lock, LockError
from ansible_collections.onprem.dify.plugins.module_utils.bundle_signature import SignatureError, parse_signers
from ansible_collections.onprem.dify.plugins.module_utils.bundle_store import StoreError
from ansible_collections.onprem.dify.plugins.module_utils.bundle_verify import trusted, verify
from ansible_collections.onprem.dify.plugins.module_utils.mirror_carry import MEGABYTE, loads, pack, pieces, texts_of
from ansible_collections.onprem.dify.plugins.module_utils.mirror_load import RESERVE, accepted, too_small
from ansible_collections.onprem.dify.plugins.module_utils.mirror_store import DIRECTORY, MirrorError, name_of
from ansible_collections.onprem.dify.plugins.plugin_utils.plain import plain

display = Display()

OPTIONS = ("bundle", "signers", "directory", "megabytes")
MEGABYTES = 256
SECONDS_BETWEEN_LINES = 5


class ActionModule(ActionBase):
    """Nothing is sent before the signature and every byte of the bundle were found right."""

    TRANSFERS_FILES = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        del tmp
        self._task_vars = task_vars or {}
        self._host = str(self._task_vars["inventory_hostname"])
        try:
            result.update(self._carry(plain(dict(self._task.args))))
        except (MirrorError, SignatureError, LockError, StoreError) as error:
            raise AnsibleActionFail(f"host {self._host}: {error}") from error
        except OSError as error:
            raise AnsibleActionFail(f"controller: {error.filename or 'bundle'}: {error.strerror}") from error
        return result

    def _carry(self, args: Mapping[str, Any]) -> dict[str, Any]:
        unknown = sorted(set(args) - set(OPTIONS))
        if unknown or not args.get("bundle"):
            raise MirrorError(f"unknown option {', '.join(unknown)}" if unknown else "bundle is missing")
        bundle = Path(self._loader.path_dwim(str(args["bundle"])))
        signers = parse_signers([str(line) for line in args.get("signers") or []])
        self._directory = str(args.get("directory") or DIRECTORY)

        lock = accepted(trusted(bundle, signers))
        found = self._ask(lock=lock.dump().decode())
        missing: dict[str, int] = found["missing"]
        served = found["current"]
        if served["digest"] == lock.digest and not missing:
            return self._result(lock, 0, changed=False)
        accepted(
            verify(
                bundle,
                signers,
                served["release"],
                report=self._progress("verified"),
                elsewhere=lambda digest, _size: digest not in missing,
            )
        )
        wanted = pieces(lock, missing)
        total = sum(piece.length for piece in wanted)
        if total and found["free"] < total + RESERVE:
            raise MirrorError(too_small(self._directory, found["free"], total))
        if not self._task.check_mode:
            self._send(bundle, lock, wanted, total, int(args.get("megabytes") or MEGABYTES) * MEGABYTE)
        return self._result(lock, total, changed=True)

    def _send(self, bundle: Path, lock: Lock, wanted: list[Any], total: int, most: int) -> None:
        progress, sent = self._progress("sent"), 0
        remote = self._connection._shell.join_path(self._remote_folder(), "onprem-dify-bundle.tar")
        texts = texts_of(bundle)
        with tempfile.TemporaryDirectory(dir=constants.DEFAULT_LOCAL_TMP) as folder:
            archive = Path(folder, "load.tar")
            for load in [*loads(wanted, most)] or [[]]:
                pack(archive, bundle, load, texts)
                texts = {}
                self._transfer(archive, remote)
                self._ask(archive=remote, digest=lock.digest)
                sent += sum(piece.length for piece in load)
                progress(sent, total)

    def _remote_folder(self) -> str:
        return str(self._connection._shell.tmpdir or self._make_tmp_path())

    def _transfer(self, archive: Path, remote: str) -> None:
        try:
            self._transfer_file(str(archive), remote)
        except AnsibleConnectionFailure:
            raise
        except AnsibleError as error:
            raise MirrorError(f"{remote} cannot be written on the host: {error}; what has arrived is kept") from error

    def _progress(self, word: str) -> Any:
        """Tell how far it is, now and then: a bundle takes minutes."""
        last = time.monotonic()

        def report(done: int, total: int) -> None:
            nonlocal last
            if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
                last = time.monotonic()
                display.display(f"{self._host}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB {word}")

        return report

    def _ask(self, **options: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(
            module_name="onprem.dify.mirror_arrivals",
            module_args={"directory": self._directory, **options},
            task_vars=self._task_vars,
        )
        if answer.get("unreachable"):
            raise AnsibleConnectionFailure(str(answer.get("msg", "unreachable")))
        if answer.get("failed"):
            raise MirrorError(str(answer.get("msg") or answer.get("module_stderr") or "no reason given"))
        return answer

    def _result(self, lock: Lock, sent: int, *, changed: bool) -> dict[str, Any]:
        after = f"{lock.release} ({LOCK} {lock.digest}), {sent} bytes to send\n" if changed else ""
        header = {"before_header": self._directory, "after_header": self._directory}
        diff = {**header, "before": "", "after": after}
        names = {"release": name_of(lock), "digest": lock.digest}
        return {"changed": changed, **names, "sent": sent, "diff": diff}
