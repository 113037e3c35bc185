# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give a service its certificates: the host makes keys and requests, the controller signs, keys stay where they are."""

from __future__ import annotations

import datetime
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.onprem.dify.plugins.module_utils.certificates import (
    CERTIFICATE,
    METRIC,
    MODES,
    CertificateError,
    Wish,
    metric_text,
    parse_record,
    parse_wishes,
    record_text,
)
from ansible_collections.onprem.dify.plugins.plugin_utils.authority import (
    Certificates,
    Internal,
    Settings,
    common_name_of,
    day,
    leaf_of,
    names_of,
    pem,
    read_state,
)
from ansible_collections.onprem.dify.plugins.plugin_utils.plain import plain
from ansible_collections.onprem.dify.plugins.plugin_utils.provided import Provided

RECORDS = "records"
OPTIONS = {"authority", "passphrase", "certificates"}


@dataclass
class Plan:
    """What happens to one certificate. `reason` says why a new one is issued, `faults` what else is put right."""

    wish: Wish
    found: Mapping[str, Any]
    reason: str
    faults: list[str]
    issued: Certificates = ()
    key: str = ""

    @property
    def touched(self) -> bool:
        return bool(self.reason or self.faults)

    def not_after(self) -> int:
        leaf = self.issued[0] if self.issued else leaf_of(self.found["certificate"])
        return int(leaf.not_valid_after_utc.timestamp()) if leaf else 0

    def diff(self) -> dict[str, str]:
        path = self.wish.path()
        before, after = "", ""
        if self.reason:
            leaf = leaf_of(self.found["certificate"])
            before = _described(common_name_of(leaf), names_of(leaf), day(leaf)) if leaf else ""
            end = day(self.issued[0]) if self.issued else "(when it is issued)"
            after = _described(self.wish.common_name, set(self.wish.names), end) + f"reason: {self.reason}\n"
        after += "".join(f"put right: {fault}\n" for fault in self.faults)
        header = path if self.found["certificate"] else f"{path} (absent)"
        return {"before_header": header, "before": before, "after_header": path, "after": after}


class Record:
    """What the controller remembers of the certificates of a host: one host, one file, so that hosts do not meet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before = path.read_text(encoding="utf-8") if path.is_file() else ""
        self.known = parse_record(self._before)

    def update(self, plans: Sequence[Plan], present: Sequence[str]) -> None:
        """Take in what the plans lead to, and forget what is not on the host any more."""
        self.known = {path: entry for path, entry in self.known.items() if path in present}
        for plan in plans:
            self.known[plan.wish.directory] = {**plan.wish.as_dict(), "not_after": plan.not_after()}

    @property
    def changed(self) -> bool:
        return bool(self.known or self._before) and record_text(self.known) != self._before

    def write(self) -> None:
        """Replace the file in one step."""
        if not self.changed:
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(record_text(self.known))
            Path(temporary).replace(self._path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


class ActionModule(ActionBase):
    """One call to the host while everything is as it should be, three when something is issued."""

    TRANSFERS_FILES = False
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        del tmp
        self._task_vars = task_vars or {}
        self._host = str(self._task_vars["inventory_hostname"])
        try:
            result.update(self._provide(datetime.datetime.now(datetime.UTC)))
        except CertificateError as error:
            raise AnsibleActionFail(f"host {self._host}: {error}") from error
        except OSError as error:
            raise AnsibleActionFail(f"controller: {error.filename}: {error.strerror}") from error
        return result

    def _provide(self, now: datetime.datetime) -> dict[str, Any]:
        args = plain({key: value for key, value in self._task.args.items() if key != "passphrase"})
        unknown = sorted(set(args) - OPTIONS)
        if unknown or not isinstance(args.get("authority"), dict):
            raise CertificateError(f"unknown option {', '.join(unknown)}" if unknown else "authority is missing")
        settings = Settings.parse(args["authority"])
        record = Record(settings.directory / RECORDS / f"{self._host}.json")
        entries = args.get("certificates")
        wishes = parse_wishes(list(record.known.values()) if entries is None else entries)
        authority = self._authority(settings, wishes, now)

        inspected = self._ask("inspect", [_place(wish) for wish in wishes], known=list(record.known))
        plans = [self._plan(wish, inspected["found"][wish.directory], authority, now) for wish in wishes]
        issuing = [plan for plan in plans if plan.reason]
        touched = [plan for plan in plans if plan.touched]
        if not self._task.check_mode:
            _refuse(inspected, plans)
            self._issue(issuing, authority, now)
        record.update(plans, inspected["present"])
        # A host that never had a certificate is left alone.
        metric = metric_text(record.known) if record.known or inspected["metric"] else ""
        differs = metric != inspected["metric"]
        if not self._task.check_mode:
            if touched or differs:
                places = [_new(plan, authority.trusted if authority else "") for plan in touched]
                self._ask("install", places, metric=metric if differs else "")
            record.write()

        diff = [plan.diff() for plan in touched]
        # What is not issued yet has no end to show.
        if differs and not (issuing and self._task.check_mode):
            header = {"before_header": METRIC, "after_header": METRIC}
            diff.append({**header, "before": inspected["metric"], "after": metric})
        return {
            "changed": bool(touched or differs or record.changed),
            "diff": diff,
            "renewed": [{"name": plan.wish.name, "reason": plan.reason} for plan in issuing],
            "certificates": [_for_services(plan) for plan in plans],
        }

    def _authority(
        self, settings: Settings, wishes: Sequence[Wish], now: datetime.datetime
    ) -> Internal | Provided | None:
        """None if there will only be one once this is no longer check mode."""
        if settings.mode == "provided":
            return Provided(settings, self._host, wishes, self._read, now)
        state = read_state(settings.directory)
        if self._task.check_mode and (state.root is None or state.issuer is None):
            return None
        return Internal(settings, state)

    def _read(self, path: Path) -> bytes:
        try:
            content: bytes = self._loader._get_file_contents(str(path))[0]
        except AnsibleError as error:
            raise CertificateError(f"{path} cannot be read: {error}") from error
        return content

    def _plan(
        self, wish: Wish, found: Mapping[str, Any], authority: Internal | Provided | None, now: datetime.datetime
    ) -> Plan:
        if authority is None:
            return Plan(wish, found, "there is no certificate authority yet", [])
        faults = list(found["faults"])
        faults += [f"{wish.directory}/{name} is left over" for name in found["leftovers"]]
        reason = authority.reason(wish, found, now)
        if not reason and found["authority"] != authority.trusted:
            faults.append(f"{wish.path('ca.crt')} is not what the site trusts")
        return Plan(wish, found, reason, [] if reason else faults)

    def _issue(self, plans: Sequence[Plan], authority: Internal | Provided | None, now: datetime.datetime) -> None:
        if isinstance(authority, Provided):
            for plan in plans:
                pair = authority.pair(plan.wish)
                plan.issued, plan.key = pair.chain, pair.key
        elif isinstance(authority, Internal) and plans:
            passphrase = self._task.args.get("passphrase")
            authority.unlock(str(passphrase) if passphrase else None)
            places = [{**_place(plan.wish), "common_name": plan.wish.common_name} for plan in plans]
            requests = self._ask("request", places)["requests"]
            for plan in plans:
                plan.issued = authority.sign(requests[plan.wish.directory], plan.wish, now)

    def _ask(self, stage: str, certificates: Sequence[Mapping[str, Any]], **options: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(
            module_name="onprem.dify.certificate_files",
            module_args={"stage": stage, "certificates": list(certificates), **options},
            task_vars=self._task_vars,
        )
        if answer.get("unreachable"):
            raise AnsibleConnectionFailure(str(answer.get("msg", "unreachable")))
        if answer.get("failed"):
            raise CertificateError(str(answer.get("msg") or answer.get("module_stderr") or "no reason given"))
        return answer


def _refuse(inspected: Mapping[str, Any], plans: Sequence[Plan]) -> None:
    """What would fail half way fails before anything is changed."""
    if plans and not inspected["openssl"]:
        raise CertificateError("openssl is not installed: role pki installs it")
    missing = {account: plan.wish.name for plan in plans for account in plan.found["missing"]}
    if missing:
        wanted = "; ".join(f"there is no {account} (certificate {name})" for account, name in missing.items())
        raise CertificateError(f"{wanted}: the package that brings it must be installed first")


def _place(wish: Wish) -> dict[str, Any]:
    return {"directory": wish.directory, "owner": wish.owner, "group": wish.group, "combined": wish.combined}


def _new(plan: Plan, trusted: str) -> dict[str, Any]:
    return {**_place(plan.wish), "authority": trusted, "certificate": pem(plan.issued), "key": plan.key}


def _for_services(plan: Plan) -> dict[str, Any]:
    """A certificate as `onprem.dify.configure` takes it, so that units follow which started before it was there."""
    wish = plan.wish
    # In check mode the new one is not there yet, and that it would be written is what the units' fate depends on.
    content = pem(plan.issued) or ("(a new certificate)\n" if plan.reason else plan.found["certificate"])
    file = {"path": wish.path(), "content": content, "follow": True, "owner": wish.owner, "group": wish.group}
    return {"name": wish.name, "files": [{**file, "mode": f"{MODES[CERTIFICATE]:04o}"}], "units": wish.unit_entries()}


def _described(common_name: str, names: set[str], end: str) -> str:
    return f"common name: {common_name}\nnames: {', '.join(sorted(names)) or '(none)'}\nends: {end}\n"
