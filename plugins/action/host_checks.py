# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a host what preflight needs to know, and turn every way in which that can fail into an answer."""

from __future__ import annotations

import time
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.onprem.dify.plugins.module_utils.preflight_hosts import destinations, endpoint_names

# Runs as the login user with any shell; what it prints tells why the modules do not run.
DIAGNOSIS = "id -un; {python} -c 'import sys; print(sys.version.split()[0])' || echo none; sudo -n true 2>&1 || true"

SHOWN = (
    "distribution",
    "distribution_major_version",
    "distribution_version",
    "os_family",
    "virtualization_tech_guest",
)


class ActionModule(ActionBase):
    """Facts, clock and one module call."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        result["changed"] = False
        site, name = self._task.args["site"], (task_vars or {})["inventory_hostname"]
        questions = {"destinations": destinations(site, name), "names": list(endpoint_names(site))}
        try:
            clock = self._clock()
            gathered = self._run(
                "ansible.legacy.setup", {"gather_subset": self._task.args.get("gather_subset")}, task_vars
            )
            seen = self._run("onprem.dify.host_checks", questions, task_vars)["seen"]
        except AnsibleConnectionFailure as error:
            result["seen"] = {
                "failure": self._failure("login", "the login", f"impossible ({_line(error)})", self._login_wanted())
            }
        except AnsibleError as error:
            result["seen"] = {"failure": self._diagnose(error, task_vars)}
        else:
            facts = gathered["ansible_facts"]
            system = {key.replace("ansible_", "", 1): value for key, value in facts.items()}
            # The plays that follow need not gather again.
            result["ansible_facts"] = {**facts, "_ansible_facts_gathered": True}
            result["seen"] = {
                **seen,
                **clock,
                "facts": {key: system.get(key, "") for key in SHOWN},
            }
        return result

    def _run(self, name: str, args: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(module_name=name, module_args=args, task_vars=task_vars)
        if answer.get("unreachable"):
            raise AnsibleConnectionFailure(str(answer.get("msg", "unreachable")))
        if answer.get("failed"):
            raise AnsibleError(str(answer.get("msg") or answer.get("module_stderr") or "no reason given"))
        return answer

    def _clock(self) -> dict[str, float]:
        """How far the host's clock is ahead of the controller's, from the quicker of two answers."""
        best = {"clock_offset": 0.0, "clock_error": float("inf")}
        for _attempt in range(2):
            start = time.time()
            answer = self._low_level_execute_command("date +%s.%N", sudoable=False)
            end = time.time()
            if (end - start) / 2 < best["clock_error"]:
                best = {
                    "clock_offset": float(answer["stdout"].split()[-1]) - (start + end) / 2,
                    "clock_error": (end - start) / 2,
                }
        return best

    def _diagnose(self, error: AnsibleError, task_vars: dict[str, Any] | None) -> dict[str, str]:
        """Say in the user's words why a module did not run: no Python, no right to become root, or its own reason."""
        python = (task_vars or {}).get("ansible_python_interpreter") or "python3"
        python = python if str(python).startswith("/") else "python3"
        answer = self._low_level_execute_command(DIAGNOSIS.format(python=python), sudoable=False)
        user, version, *sudo = answer["stdout"].splitlines() or ["?", "none"]
        if version == "none":
            return self._failure(
                "python", "Python", f"missing as {python}", "Python 3.9 or newer, named by ansible_python_interpreter"
            )
        if tuple(map(int, version.split(".")[:2])) < (3, 9):
            return self._failure(
                "python", "Python", f"{version} as {python}", "3.9 or newer, named by ansible_python_interpreter"
            )
        if sudo and self._play_context.become:
            return self._failure(
                "login", f"sudo of {user}", f"refused ({_line(sudo[0])})", "sudo to root, without a password or with -K"
            )
        return self._failure("login", "the login", f"not usable ({_line(error)})", "modules of Ansible that run")

    def _login_wanted(self) -> str:
        user = self._play_context.remote_user or "the current user"
        return f"a login over SSH as {user} to {self._play_context.remote_addr}"

    @staticmethod
    def _failure(check: str, variable: str, found: str, wanted: str) -> dict[str, str]:
        return {"check": check, "variable": variable, "found": found, "wanted": wanted}


def _line(text: object) -> str:
    """A message of SSH, sudo or Ansible in one line that fits a finding."""
    line = " ".join(str(text).split())
    return line if len(line) <= 160 else line[:157] + "..."
