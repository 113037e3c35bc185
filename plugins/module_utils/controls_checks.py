# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of the catalogue: what is expected, what was found, whether that is good."""

from __future__ import annotations

import fnmatch
import re
from typing import Any, Callable, Dict, List, Mapping, NamedTuple

from ansible_collections.onprem.dify.plugins.module_utils.controls_accounts import account_findings, account_rule
from ansible_collections.onprem.dify.plugins.module_utils.controls_host import (
    LOGIN_SHELL,
    Sources,
    UnavailableError,
    Unit,
    unit_name,
)
from ansible_collections.onprem.dify.plugins.module_utils.controls_pins import describe_pinned, pinned_findings
from ansible_collections.onprem.dify.plugins.module_utils.controls_schema import as_list

Check = Mapping[str, Any]

ENABLED = frozenset({"enabled", "enabled-runtime", "alias", "static", "generated"})
ACTIVE = frozenset({"active", "activating", "reloading"})
# modprobe runs these instead of loading the module.
REFUSED = re.compile(r"(/usr)?/s?bin/(false|true)\b")
# The kernel shows hidepid as a word since 5.8 and as a number before.
HIDEPID = {"0": "off", "1": "noaccess", "2": "invisible", "4": "ptraceable"}
SHOWN = 300


class Outcome(NamedTuple):
    """The result of a check; a finding is text for a person."""

    expected: str
    found: str
    good: bool


def outcome_of(check: Check, sources: Sources) -> Outcome:
    """Make one check. What cannot be checked has failed."""
    expected = ""
    try:
        expected = describe(check)
        found, good = CHECKS[check["type"]](check, sources)
    except UnavailableError as error:
        found, good = str(error), False
    except (OSError, ValueError, KeyError, TypeError, IndexError, re.error) as error:
        found, good = f"could not be checked: {type(error).__name__}: {error}", False
    return Outcome(expected, found if len(found) <= SHOWN else f"{found[:SHOWN]}...", good)


def describe(check: Check) -> str:
    """Return what a check expects, as a person would write it down."""
    return DESCRIPTIONS[check["type"]](check)


def plain(value: Any) -> str:
    """Return a value as files and programs write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(str(value).split())


def number(value: Any) -> float:
    """Return the number that a text starts with."""
    match = re.match(r"-?\d+(\.\d+)?", plain(value))
    if match is None:
        raise ValueError(f"{plain(value) or 'nothing'} is not a number")
    return float(match.group())


def _limits(check: Check) -> str:
    words = [
        (f"at least {check['min']}" if "min" in check else ""),
        (f"at most {check['max']}" if "max" in check else ""),
    ]
    return ", ".join(word for word in words if word)


def _within(check: Check, found: str) -> bool:
    return not ("min" in check and number(found) < number(check["min"])) and not (
        "max" in check and number(found) > number(check["max"])
    )


def _sshd(check: Check, sources: Sources) -> Any:
    values = sources.sshd().get(str(check["option"]).lower())
    if values is None:
        return "not set", False
    found = plain(" ".join(values))
    items = [item for item in re.split(r"[,\s]+", found) if item]
    good = (
        ("value" not in check or found.lower() == plain(check["value"]).lower())
        and all(item in items for item in map(plain, as_list(check.get("contains"))))
        and not any(fnmatch.filter(items, plain(pattern)) for pattern in as_list(check.get("excludes")))
        and ("only" not in check or set(items) <= set(map(plain, as_list(check["only"]))))
        and _within(check, found)
    )
    return found, good


def _describe_sshd(check: Check) -> str:
    words = [plain(check["value"])] if "value" in check else []
    for field, word in (("contains", "contains"), ("excludes", "without"), ("only", "only")):
        if field in check:
            words.append(f"{word} {', '.join(map(plain, as_list(check[field])))}")
    return f"{check['option']} {'; '.join([*words, *filter(None, [_limits(check)])])}"


def _sysctl(check: Check, sources: Sources) -> Any:
    # A slash stands for a dot in the name of an interface, as in sysctl(8).
    path = str(check["key"]).replace(".", "\0").replace("/", ".").replace("\0", "/")
    text = sources.text(f"/proc/sys/{path}")
    if text is None:
        return "the kernel has no such setting", False
    found = plain(text)
    return found, ("value" not in check or found == _sysctl_value(check["value"])) and _within(check, found)


def _sysctl_value(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else plain(value)


def _describe_sysctl(check: Check) -> str:
    wanted = [f"{check['key']} = {_sysctl_value(check['value'])}"] if "value" in check else [str(check["key"])]
    return ", ".join([*wanted, *filter(None, [_limits(check)])])


def _matches(check: Check, sources: Sources) -> List[str]:
    return [path for pattern in as_list(check["path"]) for path in sources.host.paths(str(pattern))]


def _file(check: Check, sources: Sources) -> Any:
    paths = _matches(check, sources)
    if check.get("state") == "absent":
        return (", ".join(paths) or "absent"), not paths
    missing = [str(pattern) for pattern in as_list(check["path"]) if not sources.host.paths(str(pattern))]
    if missing:
        return f"{', '.join(missing)} does not exist", False
    found, good = [], True
    for path in paths:
        info = sources.host.stat(path)
        fits = (
            ("mode_max" not in check or not info.mode & ~int(str(check["mode_max"]), 8))
            and ("owner" not in check or info.owner in map(str, as_list(check["owner"])))
            and ("group" not in check or info.group in map(str, as_list(check["group"])))
        )
        good = good and fits
        if not fits or len(paths) == 1:
            found.append(f"{path} {info.mode:04o} {info.owner}:{info.group}")
    return "; ".join(found) or f"{len(paths)} files as expected", good


def _describe_file(check: Check) -> str:
    if check.get("state") == "absent":
        return f"{_joined(check['path'])} absent"
    words = [_joined(check["path"])]
    words += [f"{check['mode_max']} or stricter"] if "mode_max" in check else []
    words += [f"{name} {_joined(check[name], ' or ')}" for name in ("owner", "group") if name in check]
    return ", ".join(words) if len(words) > 1 else f"{words[0]} exists"


def _joined(value: Any, by: str = ", ") -> str:
    return by.join(map(plain, as_list(value)))


def _line(check: Check, sources: Sources) -> Any:
    # A file that is not there says nothing; only a shell pattern may match no file.
    missing = [
        str(path)
        for path in as_list(check["path"])
        if not re.search(r"[*?\[]", str(path)) and not sources.host.paths(str(path))
    ]
    if missing:
        return f"{', '.join(missing)} does not exist", False
    texts = {path: sources.text(path) or "" for path in _matches(check, sources)}
    hits, unmet = [], []
    for pattern in map(str, as_list(check["pattern"])):
        matches = {path: re.search(pattern, text, re.MULTILINE) for path, text in texts.items()}
        found = [f"{path}: {_whole_line(match)}" for path, match in matches.items() if match]
        hits += found
        unmet += [] if found else [pattern]
    if check.get("state") == "absent":
        return "; ".join(hits) or "no such line", not hits
    return f"no line like {' or '.join(unmet)}" if unmet else "; ".join(hits), not unmet


def _whole_line(match: Any) -> str:
    text, start = match.string, match.start()
    line: str = text[text.rfind("\n", 0, start) + 1 :].lstrip("\n").split("\n", 1)[0]
    return line.strip()


def _describe_line(check: Check) -> str:
    word = "no line" if check.get("state") == "absent" else "a line"
    return f"{word} like {_joined(check['pattern'], ' and ')} in {_joined(check['path'])}"


def _mount(check: Check, sources: Sources) -> Any:
    options = sources.mounts().get(str(check["path"]))
    if options is None:
        return "not a mount point", False
    known = {_mount_option(option) for option in options}
    missing = [option for option in map(plain, as_list(check["options"])) if _mount_option(option) not in known]
    return ",".join(sorted(options)), not missing


def _mount_option(option: str) -> str:
    name, _separator, value = option.partition("=")
    return f"hidepid={HIDEPID.get(value, value)}" if name == "hidepid" else option


def _unit(check: Check, sources: Sources) -> Any:
    units = {unit_name(str(name)): sources.units().get(unit_name(str(name))) for name in as_list(check["name"])}
    if len(units) == 1:
        [unit] = units.values()
        return _shown_unit(unit), _unit_fits(check, unit)
    others = [f"{name}: {_shown_unit(unit)}" for name, unit in units.items() if not _unit_fits(check, unit)]
    return "; ".join(others) or f"{len(units)} units as expected", not others


def _shown_unit(unit: Any) -> str:
    if unit is None or unit.load == "not-found":
        return "no such unit"
    return f"{unit.load if unit.load == 'masked' else unit.file or 'not enabled'}, {unit.active}"


def _unit_fits(check: Check, unit: Any) -> bool:
    if unit is None:
        return False
    is_so: Dict[str, Callable[[Unit], bool]] = {
        "enabled": lambda found: found.file in ENABLED,
        "active": lambda found: found.active in ACTIVE,
        # There is nothing to mask in what is not installed.
        "masked": lambda found: found.load in ("masked", "not-found"),
    }
    return all(bool(check[name]) == is_so[name](unit) for name in is_so if name in check)


def _describe_unit(check: Check) -> str:
    words = [word if check[word] else f"not {word}" for word in ("enabled", "active", "masked") if word in check]
    return f"{_joined(check['name'])} {', '.join(words)}"


def _package(check: Check, sources: Sources) -> Any:
    installed = [name for name in map(str, as_list(check["name"])) if name in sources.packages()]
    if check["state"] == "absent":
        return (f"installed: {', '.join(installed)}" if installed else "not installed"), not installed
    missing = [name for name in map(str, as_list(check["name"])) if name not in installed]
    return (f"not installed: {', '.join(missing)}" if missing else "installed"), not missing


def _module(check: Check, sources: Sources) -> Any:
    findings = []
    for name in (str(name).replace("-", "_") for name in as_list(check["name"])):
        command = sources.modprobe().get(name, "")
        if name in sources.loaded_modules():
            findings.append(f"{name} is loaded")
        if not REFUSED.match(command):
            findings.append(f"{name} {f'is loaded by: {command}' if command else 'may be loaded'}")
    return "; ".join(findings) or "refused by modprobe and not loaded", not findings


def _login(check: Check, sources: Sources) -> Any:
    seen = sources.login(str(check.get("user", "root")), str(check.get("shell", LOGIN_SHELL))).get(
        str(check["variable"])
    )
    if seen is None:
        return "the login shell did not answer", False
    good = _login_value(check, seen.value) and ("readonly" not in check or seen.readonly == check["readonly"])
    if check["variable"] == "umask":
        return seen.value, good
    return f"{seen.value or 'not set'}, {'read-only' if seen.readonly else 'changeable'}", good


def _login_value(check: Check, found: str) -> bool:
    if check["variable"] == "umask":
        return found != "" and int(found, 8) == int(str(check["value"]), 8)
    return found == plain(check["value"])


def _describe_login(check: Check) -> str:
    readonly = ", read-only" if check.get("readonly") else ""
    return f"{check['variable']} {plain(check['value'])}{readonly} in a login shell of {check.get('user', 'root')}"


def _audit_rule(check: Check, sources: Sources) -> Any:
    rules = sources.audit_rules()
    matches = {
        str(pattern): [rule for rule in rules if re.search(str(pattern), rule)] for pattern in as_list(check["pattern"])
    }
    found = sorted({rule for hits in matches.values() for rule in hits[:1]})
    missing = [pattern for pattern, hits in matches.items() if not hits]
    if missing:
        return f"none of {len(rules)} loaded rules is like {'; '.join(missing)}", False
    return "; ".join(found), bool(found)


def _account(check: Check, sources: Sources) -> Any:
    findings = account_findings(check, sources)
    return "; ".join(findings) or "as expected", not findings


def _selinux(check: Check, sources: Sources) -> Any:
    enforce = sources.text("/sys/fs/selinux/enforce")
    now = "disabled" if enforce is None else {"1": "enforcing", "0": "permissive"}.get(enforce.strip(), "unknown")
    config = dict(re.findall(r"^(SELINUX|SELINUXTYPE)=(\S+)", sources.text("/etc/selinux/config") or "", re.MULTILINE))
    boot, policy = config.get("SELINUX", "disabled"), config.get("SELINUXTYPE", "none")
    good = now == boot == check["mode"] and check.get("policy", policy) == policy
    return f"{now} now, {boot} after a reboot, policy {policy}", good


def _apparmor(check: Check, sources: Sources) -> Any:
    if (sources.text("/sys/module/apparmor/parameters/enabled") or "").strip() != "Y":
        return "off", False
    profiles = sources.required_text("/sys/kernel/security/apparmor/profiles").splitlines()
    enforced = [line for line in profiles if line.endswith("(enforce)")]
    complaining = [line.rsplit(" ", 1)[0] for line in profiles if line.endswith("(complain)")]
    good = bool(enforced) and len(complaining) <= int(check.get("complain_max", len(complaining)))
    shown = f", {len(complaining)} only complain: {', '.join(complaining)}" if complaining else ""
    return f"on, {len(enforced)} profiles enforced{shown}", good


def _describe_apparmor(check: Check) -> str:
    limit = f", at most {check['complain_max']} profiles that only complain" if "complain_max" in check else ""
    return f"AppArmor on, profiles enforced{limit}"


def _time_source(check: Check, sources: Sources) -> Any:
    # `chronyc -c sources` has the columns mode, state, name; `chronyc -c tracking` has the offset in its fifth.
    rows = [
        line.split(",")
        for line in sources.output(["chronyc", "-n", "-c", "sources"]).splitlines()
        if line.count(",") > 2
    ]
    selected = [row[2] for row in rows if row[1] == "*"]
    strangers = [row[2] for row in rows if "allowed" in check and row[2] not in map(str, as_list(check["allowed"]))]
    offset = sources.output(["chronyc", "-n", "-c", "tracking"]).split(",")[4] if selected else ""
    good = (
        bool(selected)
        and not strangers
        and ("offset_max" not in check or abs(float(offset)) <= float(check["offset_max"]))
    )
    shown = (
        f"synchronised with {selected[0]}, {float(offset):.6f} s off"
        if selected
        else f"not synchronised, {len(rows)} sources"
    )
    return shown + (f", not of the site: {', '.join(strangers)}" if strangers else ""), good


def _describe_time_source(check: Check) -> str:
    words = ["synchronised"]
    words += [f"only with {_joined(check['allowed'])}"] if "allowed" in check else []
    words += [f"at most {check['offset_max']} s off"] if "offset_max" in check else []
    return ", ".join(words)


def _command(check: Check, sources: Sources) -> Any:
    argv = [str(word) for word in as_list(check["argv"])]
    rc, out, err = sources.answer(argv)
    text = f"{out}\n{err}".strip()
    match = re.search(str(check["pattern"]), text, re.MULTILINE)
    good = bool(match) != (check.get("state") == "absent") and rc in [int(code) for code in as_list(check.get("rc", 0))]
    shown = _whole_line(match) if match else " / ".join(text.splitlines()) or "no output"
    return (shown if rc == 0 else f"{shown} (exit code {rc})"), good


def _describe_command(check: Check) -> str:
    word = "does not say" if check.get("state") == "absent" else "says"
    return f"{' '.join(map(str, as_list(check['argv'])))} {word} {check['pattern']}"


CHECKS: Dict[str, Callable[[Check, Sources], Any]] = {
    "sshd": _sshd,
    "sysctl": _sysctl,
    "file": _file,
    "line": _line,
    "mount": _mount,
    "unit": _unit,
    "package": _package,
    "module": _module,
    "login": _login,
    "audit_rule": _audit_rule,
    "account": _account,
    "selinux": _selinux,
    "apparmor": _apparmor,
    "time_source": _time_source,
    "pinned": pinned_findings,
    "command": _command,
}

DESCRIPTIONS: Dict[str, Callable[[Check], str]] = {
    "sshd": _describe_sshd,
    "sysctl": _describe_sysctl,
    "file": _describe_file,
    "line": _describe_line,
    "mount": lambda check: f"{check['path']} mounted with {_joined(check['options'])}",
    "unit": _describe_unit,
    "package": lambda check: (
        f"{_joined(check['name'])} {'not installed' if check['state'] == 'absent' else 'installed'}"
    ),
    "module": lambda check: f"{_joined(check['name'])} cannot be loaded",
    "login": _describe_login,
    "audit_rule": lambda check: f"a loaded rule like {_joined(check['pattern'], ' and ')}",
    "account": account_rule,
    "selinux": lambda check: (
        f"{check['mode']} now and after a reboot" + (f", policy {check['policy']}" if "policy" in check else "")
    ),
    "apparmor": _describe_apparmor,
    "time_source": _describe_time_source,
    "pinned": describe_pinned,
    "command": _describe_command,
}
