# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the checks read of a host, each source once."""

from __future__ import annotations

import grp
import pwd
import re
import stat
from pathlib import Path
from typing import Any, Callable, Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Sequence, Tuple, TypeVar

from ansible_collections.onprem.dify.plugins.module_utils import package_set
from ansible_collections.onprem.dify.plugins.module_utils.controls_schema import as_list

T = TypeVar("T")
Run = Callable[[List[str]], Tuple[int, str, str]]

# What `run` returns for a program that the host does not have, as a shell does.
NOT_FOUND = 127
LOGIN_SHELL = "/bin/sh"


class UnavailableError(Exception):
    """A source cannot be read, so nothing that depends on it can pass."""


class FileStat(NamedTuple):
    """Type, permissions and owners of a file."""

    mode: int
    owner: str
    group: str
    directory: bool = False


class Unit(NamedTuple):
    """State of a systemd unit."""

    load: str
    active: str
    file: str


class Login(NamedTuple):
    """A variable as a login shell sees it."""

    value: str
    readonly: bool


class Account(NamedTuple):
    """A line of /etc/passwd and, joined to it, the one of /etc/shadow."""

    name: str
    password: str
    uid: int
    gid: int
    home: str
    shell: str
    shadow: List[str]

    def has_password(self) -> bool:
        """Tell whether somebody could log in with a password."""
        return len(self.shadow) > 1 and self.shadow[1] not in ("", "x") and not self.shadow[1].startswith(("!", "*"))


class Host:
    """The I/O of the checks: files and programs of this machine."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def read(self, path: str) -> Optional[str]:
        """Return the text of a file, or nothing where there is none."""
        try:
            return Path(path).read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def paths(self, pattern: str) -> List[str]:
        """Return the paths that a shell pattern matches."""
        return sorted(str(path) for path in Path("/").glob(pattern.lstrip("/")))

    def stat(self, path: str) -> FileStat:
        """Return type, permissions and owners of what a path leads to."""
        info = Path(path).stat()
        return FileStat(
            stat.S_IMODE(info.st_mode), _owner(info.st_uid), _group(info.st_gid), stat.S_ISDIR(info.st_mode)
        )


def _owner(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


class Sources:
    """The sources of the checks, each read when it is first asked for and never again.

    ``checks`` are all checks that will be made: units and login shells are asked for everything at once.
    """

    def __init__(self, host: Host, checks: Sequence[Mapping[str, Any]]) -> None:
        self.host = host
        self._checks = checks
        self._known: Dict[Any, Any] = {}

    def _once(self, key: Any, read: Callable[[], T]) -> T:
        if key not in self._known:
            try:
                self._known[key] = read()
            except UnavailableError as error:
                self._known[key] = error
        if isinstance(self._known[key], UnavailableError):
            raise self._known[key]
        found: T = self._known[key]
        return found

    def answer(self, argv: List[str]) -> Tuple[int, str, str]:
        """Return exit code and output of a program."""

        def run() -> Tuple[int, str, str]:
            rc, out, err = self.host.run(argv)
            if rc == NOT_FOUND:
                raise UnavailableError(f"{argv[0]} is not installed")
            return rc, out, err

        return self._once(tuple(argv), run)

    def output(self, argv: List[str]) -> str:
        """Return what a program prints, or raise UnavailableError with its own words."""
        rc, out, err = self.answer(argv)
        if rc != 0:
            raise UnavailableError(f"{' '.join(argv)} ended with {rc}: {(err or out).strip()[:200]}")
        return out

    def text(self, path: str) -> Optional[str]:
        """Return the text of a file, or nothing where there is none."""
        return self._once(("file", path), lambda: self.host.read(path))

    def required_text(self, path: str) -> str:
        """Return the text of a file that has to be there."""
        text = self.text(path)
        if text is None:
            raise UnavailableError(f"{path} does not exist")
        return text

    def sshd(self) -> Dict[str, List[str]]:
        """Return the effective options of the SSH server, each with all its values."""
        return self._once("sshd", lambda: parse_sshd(self.output(["sshd", "-T"])))

    def mounts(self) -> Dict[str, FrozenSet[str]]:
        """Return the options of every mount point; of stacked mounts the one on top counts."""
        return self._once("mounts", lambda: parse_mountinfo(self.required_text("/proc/self/mountinfo")))

    def units(self) -> Dict[str, Unit]:
        """Return the state of every unit that a check names."""
        names = sorted(
            {unit_name(name) for check in self._checks if check["type"] == "unit" for name in as_list(check["name"])}
        )
        argv = ["systemctl", "show", "--property=Id,Names,LoadState,ActiveState,UnitFileState", "--", *names]
        return self._once("units", lambda: parse_units(self.output(argv)))

    def packages(self) -> FrozenSet[str]:
        """Return the names of the installed packages."""
        return self._once("packages", self._read_packages)

    def _read_packages(self) -> FrozenSet[str]:
        try:
            lines = self.output(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\\n"]).splitlines()
        except UnavailableError:
            return frozenset(self.output(["rpm", "-qa", "--queryformat", "%{NAME}\\n"]).split())
        return frozenset(line.split()[1] for line in lines if line.startswith("installed "))

    def package_state(self) -> package_set.State:
        """Return versions and holds of the installed packages."""
        return self._once("package_state", self._read_package_state)

    def _read_package_state(self) -> package_set.State:
        faults = []
        for manager in (package_set.Apt(self.host.run), package_set.Dnf(self.host.run)):
            try:
                return manager.state(holds=True)
            except package_set.PackageError as error:
                faults.append(str(error))
        raise UnavailableError("; ".join(faults))

    def modprobe(self) -> Dict[str, str]:
        """Return the install command of every kernel module that has one."""
        return self._once("modprobe", lambda: parse_modprobe(self.output(["modprobe", "--showconfig"])))

    def loaded_modules(self) -> FrozenSet[str]:
        """Return the kernel modules that are loaded; a kernel that knows no modules has no such list."""
        lines = (self.text("/proc/modules") or "").splitlines()
        return frozenset(line.split()[0] for line in lines if line.strip())

    def audit_rules(self) -> List[str]:
        """Return the audit rules that the kernel holds."""
        rules = self.output(["auditctl", "-l"]).splitlines()
        return [rule for rule in rules if rule.strip() and rule.strip() != "No rules"]

    def accounts(self) -> List[Account]:
        """Return all accounts with their shadow entries."""
        return self._once(
            "accounts", lambda: parse_accounts(self.required_text("/etc/passwd"), self.required_text("/etc/shadow"))
        )

    def login(self, user: str, shell: str) -> Dict[str, Login]:
        """Return what a real login shell of a user knows of all variables that checks ask it for."""
        wanted = sorted({str(check["variable"]) for check in self._checks if check["type"] == "login"})
        argv = ["su", "--login", "--shell", shell, "--command", login_script(wanted), user]
        return self._once(("login", user, shell), lambda: parse_login(self.output(argv)))


def unit_name(name: str) -> str:
    """Return the full name of a unit; what has no suffix is a service."""
    return (
        name
        if re.search(r"\.(service|socket|timer|mount|target|path|slice|scope|swap|automount)$", name)
        else f"{name}.service"
    )


def login_script(variables: Sequence[str]) -> str:
    """Return the commands, in POSIX sh, with which a login shell tells its variables."""
    lines = []
    for name in variables:
        if name == "umask":
            lines.append('echo "control umask changeable $(umask)"')
        else:
            # A read-only variable ends the subshell that tries to unset it.
            state = f"if (unset {name}) 2>/dev/null; then state=changeable; else state=readonly; fi"
            lines.append(f'{state}; echo "control {name} $state ${{{name}-}}"')
    return "; ".join(lines)


def parse_login(output: str) -> Dict[str, Login]:
    """Read what ``login_script`` printed; a banner or a message of the day around it does no harm."""
    found = re.findall(r"^control (\S+) (readonly|changeable) ?(.*)$", output, re.MULTILINE)
    return {name: Login(value.strip(), state == "readonly") for name, state, value in found}


def parse_sshd(output: str) -> Dict[str, List[str]]:
    """Read ``sshd -T``."""
    options: Dict[str, List[str]] = {}
    for line in output.splitlines():
        name, separator, value = line.strip().partition(" ")
        if name:
            options.setdefault(name.lower(), []).append(value if separator else "")
    return options


def parse_mountinfo(text: str) -> Dict[str, FrozenSet[str]]:
    """Read /proc/self/mountinfo."""
    mounts = {}
    for line in text.splitlines():
        front, separator, back = line.partition(" - ")
        if separator:
            fields = front.split()
            path = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), fields[4])
            mounts[path] = frozenset([*fields[5].split(","), *back.split()[2].split(",")])
    return mounts


def parse_units(output: str) -> Dict[str, Unit]:
    """Read ``systemctl show`` of several units; a unit is found under each of its names."""
    units = {}
    for block in output.split("\n\n"):
        fields = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        unit = Unit(fields.get("LoadState", ""), fields.get("ActiveState", ""), fields.get("UnitFileState", ""))
        for name in [*fields.get("Names", "").split(), fields.get("Id", "")]:
            units[name] = unit
    return units


def parse_modprobe(output: str) -> Dict[str, str]:
    """Read the install commands in ``modprobe --showconfig``."""
    found = re.findall(r"^install\s+(\S+)\s+(.+)$", output, re.MULTILINE)
    return {name.replace("-", "_"): command.strip() for name, command in found}


def parse_accounts(passwd: str, shadow: str) -> List[Account]:
    """Read /etc/passwd and /etc/shadow."""
    secrets = {line.split(":", 1)[0]: line.split(":") for line in shadow.splitlines() if ":" in line}
    accounts = []
    for line in passwd.splitlines():
        fields = line.split(":")
        if len(fields) >= 7 and fields[2].isdigit() and fields[3].isdigit():
            name, password, uid, gid, _comment, home, shell = fields[:7]
            accounts.append(Account(name, password, int(uid), int(gid), home, shell, secrets.get(name, [])))
    return accounts


def host_tags(host: Host) -> List[str]:
    """Return what a host is, in the words in which controls say where they apply."""
    release = dict(re.findall(r'^(ID|ID_LIKE)="?([^"\n]*)"?$', host.read("/etc/os-release") or "", re.MULTILINE))
    family = {word.lower() for word in f"{release.get('ID', '')} {release.get('ID_LIKE', '')}".split()}
    tags: List[str] = [name for name in ("ubuntu", "openeuler") if name in family]
    tags += ["debian"] * bool(family & {"debian", "ubuntu"})
    tags += ["redhat"] * bool(family & {"rhel", "fedora", "centos", "openeuler"})
    tags += ["systemd"] * bool(host.paths("/run/systemd/system"))
    if host.run(["systemd-detect-virt", "--quiet", "--container"])[0] == 0:
        # Mandatory access control in a container is the one of the machine that runs it.
        return sorted([*tags, "container"])
    selinux = "redhat" in tags or bool(host.paths("/sys/fs/selinux/enforce"))
    tags += ["selinux"] * selinux
    tags += ["apparmor"] * ("debian" in tags and not selinux)
    return sorted(tags)
