# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the actions on bundles have in common: options, progress, and refusals that a person reads once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ansible import constants
from ansible.errors import AnsibleAction, AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.onprem.dify.plugins.module_utils.bundle_delta import DeltaError
from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import Lock, LockError
from ansible_collections.onprem.dify.plugins.module_utils.bundle_parts import PartsError
from ansible_collections.onprem.dify.plugins.module_utils.bundle_signature import SignatureError
from ansible_collections.onprem.dify.plugins.module_utils.bundle_store import StoreError
from ansible_collections.onprem.dify.plugins.module_utils.bundle_verify import Verdict
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_report import Lines
from ansible_collections.onprem.dify.plugins.plugin_utils.plain import plain

display = Display()


class BundleAction(ActionBase):
    """An action on a bundle, on the controller. `OPTIONS` is its argument specification."""

    OPTIONS: ClassVar[Mapping[str, Any]] = {}
    RULES: ClassVar[Mapping[str, Any]] = {}
    WRITES = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _checked, given = self.validate_argument_spec(argument_spec=self.OPTIONS, **self.RULES)
        if self.WRITES and self._task.check_mode:
            return {**result, "skipped": True, "msg": "nothing is written in check mode"}
        try:
            return {**result, "changed": False, **self.act(plain(given))}
        except (DeltaError, LockError, PartsError, SignatureError, StoreError) as error:
            raise refusal(str(error), str(error).splitlines()[0]) from error
        except OSError as error:
            raise AnsibleActionFail(f"{error.filename or 'error'}: {error.strerror}") from error

    def act(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        raise NotImplementedError


def progress() -> Lines:
    return Lines(lambda line: display.display(f"  {line}"))


def accepted(verdict: Verdict, what: str) -> Lock:
    """The lock of a bundle that was found right; otherwise all reasons are said, each with its artefact."""
    if verdict.lock is None or not verdict.good:
        raise refusal(verdict.message(what), f"{what} is refused. Listed above.")
    return verdict.lock


def refusal(text: str, headline: str) -> AnsibleAction:
    # Ansible prints the error as it is, and the result as data: a list stands in the error only.
    return AnsibleAction(text, result={"failed": True, "msg": headline})


def done(line: str) -> None:
    display.display(line, color=constants.COLOR_OK)
