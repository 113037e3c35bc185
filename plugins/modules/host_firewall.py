#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: host_firewall
short_description: Make firewalld hold exactly the given rules
version_added: 0.1.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Writes the whole of C(/etc/firewalld) (settings, zones, policies, sets of addresses), removes zones, policies,
    sets and direct rules that are not in O(rules), and has firewalld take them over by one reload or start.
  - What the running firewalld holds counts as well. A rule added by hand without C(--permanent) is a change.
  - Refuses before it changes anything if the rules would shut out the SSH connection that it came over.
  - The old rules come back by themselves after O(rollback_seconds) unless a fresh connection confirms the new ones,
    which the action plugin of the same name does.
options:
  rules:
    description: What the filter P(onprem.dify.host_firewall#filter) returns for this host.
    type: dict
    required: true
  state:
    description:
      - V(applied) makes the change with a rollback armed.
      - V(confirmed) keeps it. The action plugin asks for it over a fresh connection; playbooks have no use for it.
    type: str
    choices: [applied, confirmed]
    default: applied
  rollback_seconds:
    description: Time after which unconfirmed rules are taken back.
    type: int
    default: 60
attributes:
  check_mode:
    description: Predicts all changes, also where firewalld is not installed yet.
    support: full
  diff_mode:
    description: Shows every file, and what the running firewalld holds beyond its files.
    support: full
  platform:
    description: firewalld 1.0 or newer with the nftables backend.
    platforms: linux
    support: full
"""

EXAMPLES = r"""
- name: Allow the flows of the site and drop the rest
  onprem.dify.host_firewall:
    rules: "{{ site_facts | onprem.dify.host_firewall(inventory_hostname) }}"
"""

RETURN = r"""
files:
  description: Paths that were written or removed.
  returned: always
  type: list
  elements: str
action:
  description: How firewalld took the rules over.
  returned: always
  type: str
  choices: [none, reload, start, restart]
rollback_armed:
  description: Whether a fresh connection still has to confirm the change.
  returned: always
  type: bool
"""

import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils import firewall_xml
from ansible_collections.onprem.dify.plugins.module_utils.firewall import refusal
from ansible_collections.onprem.dify.plugins.module_utils.rollback import Rollback, RollbackError

ETC = Path("/etc/firewalld")
UNIT = "firewalld.service"
BUS = "org.fedoraproject.FirewallD1"
BUS_PATH = "/org/fedoraproject/FirewallD1"
OWNED = ("zones", "policies", "ipsets")
START_SECONDS = 30


class Host:
    """firewalld on this host: its files and its running state."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module

    def run(self, command: List[str]) -> Tuple[int, str, str]:
        code, out, err = self._module.run_command(command)
        return code, out, err

    def must(self, command: List[str]) -> str:
        code, out, err = self.run(command)
        if code != 0:
            raise RollbackError(f"{' '.join(command)}: {(err or out).strip() or f'exit code {code}'}")
        return out

    def files(self) -> Dict[str, str]:
        """Return the files that this module owns, by their path below /etc/firewalld."""
        found = [path for folder in OWNED for path in (ETC / folder).glob("*.xml")]
        found += [path for path in (ETC / "firewalld.conf", ETC / "direct.xml") if path.exists()]
        return {str(path.relative_to(ETC)): path.read_text(encoding="utf-8", errors="replace") for path in found}

    def active(self) -> bool:
        return self.run(["systemctl", "is-active", "--quiet", UNIT])[0] == 0

    def enablement(self) -> str:
        return self.run(["systemctl", "is-enabled", UNIT])[1].strip()

    def running(self, wanted: Mapping[str, List[str]]) -> Dict[str, List[str]]:
        """Return what the running firewalld reports of everything in ``wanted``, in the same words."""
        found: Dict[str, List[str]] = {}
        for thing in wanted:
            kind, _space, name = thing.partition(" ")
            if kind == "zone":
                found[thing] = firewall_xml.reported_zone(self._ask("zone", "getZoneSettings2", name) or {})
            elif kind == "policy":
                found[thing] = firewall_xml.reported_policy(self._ask("policy", "getPolicySettings", name) or {})
            elif kind == "ipset":
                found[thing] = sorted(self._ask("ipset", "getEntries", name) or [])
        found["settings"] = [
            f"default zone {self._ask('', 'getDefaultZone')}",
            f"log denied {self._ask('', 'getLogDenied')}",
        ]
        found["by hand"] = self._by_hand({thing[5:] for thing in wanted if thing.startswith("zone ")})
        return found

    def _by_hand(self, zones: Any) -> List[str]:
        active = self._ask("zone", "getActiveZones") or {}
        lines = [
            f"zone {zone} holds {end}"
            for zone, ends in active.items()
            if zone not in zones
            for end in [*ends.get("interfaces", []), *ends.get("sources", [])]
        ]
        direct = self._ask("direct", "getAllRules") or []
        lines += [f"direct rule {' '.join(str(part) for part in rule)}" for rule in direct]
        return sorted(lines)

    def flushed(self) -> bool:
        """Tell whether somebody took the rules out of the kernel behind the back of firewalld."""
        return bool(
            shutil.which("nft") and self.run(["nft", "list", "chain", "inet", "firewalld", "filter_INPUT"])[0] != 0
        )

    def _ask(self, interface: str, method: str, *names: str) -> Any:
        address = [BUS, BUS_PATH, f"{BUS}.{interface}" if interface else BUS, method]
        arguments = ["s" * len(names), *names] if names else []
        code, out, _err = self.run(["busctl", "--json=short", "call", *address, *arguments])
        return _plain(json.loads(out))[0] if code == 0 else None

    def wait_until_running(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        command = ["busctl", "--json=short", "get-property", BUS, BUS_PATH, BUS, "state"]
        while True:
            code, out, err = self.run(command)
            state = json.loads(out)["data"] if code == 0 else err.strip()
            if state == "RUNNING":
                return
            if time.monotonic() > deadline or state == "FAILED":
                raise RollbackError(f"firewalld does not run with the new rules: {state}")
            time.sleep(0.2)

    def check(self, texts: Mapping[str, str]) -> None:
        """Have firewalld read the candidates before they replace anything."""
        with tempfile.TemporaryDirectory(dir=self._module.tmpdir) as scratch:
            for name, text in texts.items():
                path = Path(scratch) / name
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8")
            self.must(["firewall-offline-cmd", "--system-config", scratch, "--check-config"])

    def write(self, name: str, text: Optional[str]) -> None:
        path = ETC / name
        if text is None:
            path.unlink()
            return
        path.parent.mkdir(mode=0o750, exist_ok=True)
        handle, candidate = tempfile.mkstemp(dir=self._module.tmpdir)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        self._module.atomic_move(candidate, str(path))
        path.chmod(0o644)


def _plain(value: Any) -> Any:
    """Drop the types that busctl puts around every value."""
    if isinstance(value, dict) and set(value) == {"type", "data"}:
        return _plain(value["data"])
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def ssh_connection() -> Optional[str]:
    """Return SSH_CONNECTION of the session that this process belongs to; sudo hides it, an ancestor still has it."""
    if os.environ.get("SSH_CONNECTION"):
        return os.environ["SSH_CONNECTION"]
    pid = os.getppid()
    while pid > 1:
        try:
            variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        for variable in variables:
            if variable.startswith(b"SSH_CONNECTION="):
                return variable.partition(b"=")[2].decode()
        pid = int(status.rpartition(")")[2].split()[1])
    return None


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Dict[str, Tuple[Any, Any]]:
    keys = sorted({*before, *after})
    return {key: (before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)}


def as_diff(title: str, before: Optional[str], after: Optional[str]) -> Dict[str, str]:
    return {"before_header": title, "after_header": title, "before": before or "", "after": after or ""}


class Differences(NamedTuple):
    """What differs from the rules, each as before and after, and the state of the unit."""

    files: Dict[str, Tuple[Optional[str], Optional[str]]]
    running: Dict[str, Tuple[Optional[List[str]], Optional[List[str]]]]
    flushed: bool
    active: bool
    enablement: str

    @property
    def action(self) -> str:
        return how(self.active, self.flushed, bool(self.files or self.running))

    def as_diff(self) -> List[Dict[str, str]]:
        diff = [as_diff(str(ETC / name), before, after) for name, (before, after) in self.files.items()]
        diff += [
            as_diff(f"running firewalld: {thing}", _lines(before), _lines(after))
            for thing, (before, after) in self.running.items()
        ]
        if not self.active or self.enablement != "enabled":
            state = f"{'active' if self.active else 'inactive'}, {self.enablement or 'missing'}\n"
            diff.append(as_diff(UNIT, state, "active, enabled\n"))
        if self.flushed:
            diff.append(as_diff("kernel", "no rules of firewalld\n", "the rules of firewalld\n"))
        return diff

    def way_back(self) -> List[List[str]]:
        """Return the commands that make firewalld take the old files again."""
        if self.active:
            return [["systemctl", "restart" if self.flushed else "reload-or-restart", UNIT]]
        stop = [["systemctl", "stop", UNIT]]
        return stop if self.enablement == "enabled" else [*stop, ["systemctl", "disable", UNIT]]


def converge(module: AnsibleModule, host: Host, rollback: Rollback) -> Dict[str, Any]:
    rules = module.params["rules"]
    if not module.check_mode:
        if shutil.which("firewall-offline-cmd") is None:
            missing = "firewalld is not installed; the role onprem.dify.packages (playbooks/harden.yml) installs it."
            module.fail_json(msg=missing)
        if rollback.pending():
            # A run that was killed left rules that nobody confirmed.
            rollback.run_now()

    texts = firewall_xml.files(rules)
    wanted = dict(firewall_xml.running(rules), **{"by hand": []})
    found = compare(host, texts, wanted)
    diff = found.as_diff()
    paths = [str(ETC / name) for name in found.files]
    result = {"changed": bool(diff), "diff": diff, "files": paths, "action": found.action, "rollback_armed": False}
    if not diff or module.check_mode:
        return result

    if found.files:
        host.check(texts)
    if found.action != "none":
        rollback.arm(paths, found.way_back(), module.params["rollback_seconds"])
    try:
        take_over(host, found)
        left = differences(host.running(wanted), wanted)
        if left:
            raise RollbackError("the running firewalld does not hold the new rules: " + explain(left))
    except (RollbackError, OSError) as error:
        if rollback.pending():
            rollback.run_now()
        module.fail_json(msg=f"{error}. The old rules are back.")
    result["rollback_armed"] = rollback.pending()
    return result


def compare(host: Host, texts: Mapping[str, str], wanted: Mapping[str, List[str]]) -> Differences:
    active = host.active()
    changed = differences(host.files(), texts)
    return Differences(
        files=changed,
        # Where files change, the running firewalld differs anyway.
        running=differences(host.running(wanted), wanted) if active and not changed else {},
        flushed=active and host.flushed(),
        active=active,
        enablement=host.enablement(),
    )


def how(active: bool, flushed: bool, changed: bool) -> str:
    if not active:
        return "start"
    # A reload fails where the table that it would replace is gone.
    return "restart" if flushed else "reload" if changed else "none"


def take_over(host: Host, found: Differences) -> None:
    for name, (_before, after) in found.files.items():
        host.write(name, after)
    if found.enablement == "masked":
        host.must(["systemctl", "unmask", UNIT])
    if found.enablement != "enabled":
        host.must(["systemctl", "enable", UNIT])
    if found.action in ("start", "restart"):
        host.must(["systemctl", found.action, UNIT])
    elif found.action == "reload":
        host.must(["firewall-cmd", "--reload"])
    host.wait_until_running()


def explain(left: Mapping[str, Tuple[Any, Any]]) -> str:
    return "; ".join(f"{thing}: found {before}, wanted {after}" for thing, (before, after) in left.items())


def _lines(lines: Optional[List[str]]) -> str:
    return "".join(f"{line}\n" for line in lines or [])


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "rules": {"type": "dict", "required": True},
            "state": {"type": "str", "choices": ["applied", "confirmed"], "default": "applied"},
            "rollback_seconds": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    host = Host(module)
    rollback = Rollback(host.run, "host_firewall")
    try:
        if module.params["state"] == "confirmed":
            if not module.check_mode and not rollback.disarm():
                module.fail_json(msg="The new rules were not confirmed in time; the old ones are back.")
            module.exit_json(changed=False, rollback_armed=False)
        refused = refusal(module.params["rules"], ssh_connection())
        if refused:
            module.fail_json(msg=refused)
        module.exit_json(**converge(module, host, rollback))
    except RollbackError as error:
        module.fail_json(msg=str(error), rollback_armed=rollback.pending())


if __name__ == "__main__":
    main()
