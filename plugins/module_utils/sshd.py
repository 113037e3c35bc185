# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The language of sshd_config: writing a drop-in, placing its Include, and finding who overrides it.

No Ansible, no I/O.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from fnmatch import fnmatchcase
from typing import Dict, Iterable, List, Mapping, NamedTuple, Sequence, Tuple

DIRECTORY = "/etc/ssh"

REPEATED = frozenset({"hostkey", "listenaddress", "port", "setenv", "subsystem"})
COMMAS = frozenset(
    {
        "casignaturealgorithms",
        "ciphers",
        "hostbasedacceptedalgorithms",
        "hostkeyalgorithms",
        "kexalgorithms",
        "macs",
        "pubkeyacceptedalgorithms",
    }
)
# More host keys than wanted do no harm: HostKeyAlgorithms says which are offered.
# Ports may stand in other files as well; the caller compares them.
UNCOMPARED = frozenset({"hostkey", "listenaddress", "port"})

# What a user reads is the variable of the role, not only sshd's word for it.
VARIABLES = {
    "allowgroups": "sshd_allow_groups",
    "allowtcpforwarding": "sshd_allow_tcp_forwarding",
    "banner": "sshd_banner",
    "ciphers": "sshd_ciphers",
    "clientalivecountmax": "sshd_client_alive_count_max",
    "clientaliveinterval": "sshd_client_alive_interval",
    "hostkeyalgorithms": "sshd_host_key_algorithms",
    "kbdinteractiveauthentication": "sshd_password_authentication",
    "kexalgorithms": "sshd_kex_algorithms",
    "listenaddress": "sshd_listen_addresses",
    "logingracetime": "sshd_login_grace_time",
    "loglevel": "sshd_log_level",
    "macs": "sshd_macs",
    "maxauthtries": "sshd_max_auth_tries",
    "maxsessions": "sshd_max_sessions",
    "maxstartups": "sshd_max_startups",
    "passwordauthentication": "sshd_password_authentication",
    "permitrootlogin": "sshd_permit_root_login",
    "port": "sshd_ports",
    "pubkeyacceptedalgorithms": "sshd_user_key_algorithms",
    "requiredrsasize": "sshd_rsa_min_bits",
}

Effective = Mapping[str, Sequence[str]]


class Finding(NamedTuple):
    """One thing that is not as it has to be."""

    variable: str
    found: str
    wanted: str

    def __str__(self) -> str:
        return f"{self.variable}: found {self.found}, wanted {self.wanted}"


class Line(NamedTuple):
    """One directive of a configuration file; `match` is the condition of the Match block that it stands in."""

    path: str
    number: int
    keyword: str  # lower case
    arguments: Tuple[str, ...]
    match: str


def variable(keyword: str) -> str:
    """Return how a directive is named to the user."""
    return VARIABLES.get(keyword.lower(), f"sshd_extra_options.{keyword}")


def parse(text: str, path: str) -> List[Line]:
    """Read a configuration file; what sshd would not understand is left to `sshd -t`."""
    lines: List[Line] = []
    match = ""
    for number, raw in enumerate(text.splitlines(), start=1):
        found = re.match(r"\s*([A-Za-z0-9]+)(?:\s*=\s*|\s+)(\S.*)", raw)
        if not found:
            continue
        keyword = found.group(1).lower()
        try:
            arguments = tuple(shlex.split(found.group(2), comments=True))
        except ValueError:
            arguments = tuple(found.group(2).split())
        if keyword == "match":
            match = "" if [word.lower() for word in arguments] == ["all"] else " ".join(arguments)
        lines.append(Line(path, number, keyword, arguments, match))
    return lines


def words(value: object) -> List[str]:
    """Return a value of YAML as the words that sshd knows."""
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    if isinstance(value, (list, tuple)):
        return [word for item in value for word in words(item)]
    return [str(value)]


def render(header: str, options: Mapping[str, object]) -> str:
    """Write the drop-in; a directive without a value is left out."""
    lines: List[str] = []
    for keyword, value in options.items():
        values = words(value)
        if not values or values == [""]:
            continue
        if keyword.lower() in REPEATED:
            lines += [f"{keyword} {word}" for word in values]
        else:
            lines.append(f"{keyword} {(',' if keyword.lower() in COMMAS else ' ').join(values)}")
    return "\n".join([*header.rstrip().splitlines(), "", *lines, ""]) if header.strip() else "\n".join([*lines, ""])


def key_types(algorithms: Iterable[str], types: Iterable[str]) -> List[str]:
    """Return the algorithms of host keys that can be offered with the keys that there are."""
    kept = set(types)
    return [name for name in algorithms if key_type(name) in kept]


def key_type(algorithm: str) -> str:
    """Return the type of key that a signature algorithm works with, in ssh-keygen's words."""
    for part, kind in (("ed25519", "ed25519"), ("ecdsa", "ecdsa"), ("rsa", "rsa")):
        if part in algorithm:
            return f"{kind}-sk" if "sk-" in algorithm else kind
    return algorithm


def includes(line: Line, dropin: str) -> List[str]:
    """Return the patterns of an Include line that lead to the drop-in."""
    if line.keyword != "include" or line.match:
        return []
    return [pattern for pattern in line.arguments if _leads_to(pattern, dropin)]


def _leads_to(pattern: str, path: str) -> bool:
    pattern = posixpath.join(DIRECTORY, pattern)
    return posixpath.dirname(pattern) == posixpath.dirname(path) and fnmatchcase(
        posixpath.basename(path), posixpath.basename(pattern)
    )


def place_include(main: str, path: str, dropin: str) -> str:
    """Return the main file with the Include of the drop-in's directory as its first directive."""
    lines = parse(main, path)
    if lines and includes(lines[0], dropin):
        return main
    pattern = posixpath.join(posixpath.dirname(dropin), "*.conf")
    moved = {line.number for line in lines if includes(line, dropin) and line.arguments == (pattern,)}
    kept = [raw for number, raw in enumerate(main.splitlines(), start=1) if number not in moved]
    return "\n".join([f"Include {pattern}", *kept, ""])


def with_candidate(main: str, path: str, dropin: str, candidate: str, directory: Iterable[str]) -> str:
    """Return the main file with the drop-in replaced by a candidate; `directory` holds the paths beside the drop-in."""
    raw = main.splitlines()
    for line in parse(main, path):
        if not includes(line, dropin):
            continue
        files: List[str] = []
        for pattern in line.arguments:
            if _leads_to(pattern, dropin):
                found = sorted({name for name in directory if _leads_to(pattern, name)} | {dropin})
                files += [candidate if name == dropin else name for name in found]
            else:
                files.append(pattern)
        raw[line.number - 1] = f"Include {' '.join(files)}"
    return "\n".join([*raw, ""])


def parse_effective(output: str) -> Dict[str, List[str]]:
    """Read `sshd -T`."""
    options: Dict[str, List[str]] = {}
    for line in output.splitlines():
        keyword, value = [*line.strip().split(" ", 1), ""][:2]
        if keyword:
            options.setdefault(keyword.lower(), []).append(value)
    return options


def overridden(options: Iterable[str], alone: Effective, full: Effective, lines: Sequence[Line]) -> List[Finding]:
    """Return which directives of the drop-in do not hold.

    `alone` is what sshd makes of the drop-in by itself, `full` what it makes of the whole configuration; comparing
    sshd with sshd needs no knowledge of how it writes its values. `lines` are all other files, to name the culprit.
    """
    findings = []
    for option in options:
        keyword = option.lower()
        found, wanted = sorted(set(full.get(keyword, ()))), sorted(set(alone.get(keyword, ())))
        if keyword in UNCOMPARED or found == wanted:
            continue
        culprits = [f"{line.path}:{line.number}" for line in lines if line.keyword == keyword]
        where = f" (set by {', '.join(culprits)})" if culprits else ""
        findings.append(
            Finding(
                f"{variable(option)} ({option})",
                f"{' '.join(found) or 'nothing'}{where}",
                " ".join(wanted) or "nothing",
            )
        )
    return findings


def exceptions(options: Iterable[str], lines: Iterable[Line]) -> List[str]:
    """Return the Match blocks that change a directive of the drop-in for some logins."""
    keywords = {option.lower() for option in options}
    return [
        f"{line.path}:{line.number}: Match {line.match}: {line.keyword} {' '.join(line.arguments)}"
        for line in lines
        if line.match and line.keyword in keywords
    ]
