# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""sshd of a host: what it knows, what it would do with a configuration, and how it takes one."""

from __future__ import annotations

import grp
import os
import pwd
import socket
import stat
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from ansible_collections.onprem.dify.plugins.module_utils import files, sshd
from ansible_collections.onprem.dify.plugins.module_utils.configure import Configure, ConfigureError
from ansible_collections.onprem.dify.plugins.module_utils.local_users import parse_passwd, parse_shadow
from ansible_collections.onprem.dify.plugins.module_utils.login_session import Session, Stamp, find_session
from ansible_collections.onprem.dify.plugins.module_utils.rollback import Rollback
from ansible_collections.onprem.dify.plugins.module_utils.sshd_login import (
    Account,
    KeyFile,
    Login,
    findings,
    key_paths,
    parse_key,
    rsa_bits,
)

NAME = "sshd_config"
SETTLE_SECONDS = 5


class RefusedError(Exception):
    """The change must not be made."""


class Daemon:
    """sshd of this host, and the configuration that it is to have."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.params: Dict[str, Any] = module.params
        self.session = find_session()
        self.program = find_program(module)
        self.main_text = self.read(self.params["main"]) or ""
        # sshd asks for a directory that its unit makes when it starts; with a socket that may still have to come.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        # What this sshd knows, whatever the files of the host say.
        self.defaults = sshd.parse_effective(self.run([self.program, "-T", "-f", "/dev/null"])[1])

    def run(self, argv: List[str]) -> Tuple[int, str, str]:
        code, out, err = self.module.run_command(argv)
        return code, out, err

    def must(self, argv: List[str]) -> str:
        """Run a command that has to succeed."""
        code, out, err = self.run(argv)
        if code != 0:
            raise RefusedError(f"{' '.join(argv)}: {(err or out).strip() or f'exit code {code}'}")
        return out

    @staticmethod
    def read(path: str) -> Optional[str]:
        try:
            return Path(path).read_text(encoding="utf-8", errors="surrogateescape")
        except FileNotFoundError:
            return None

    def missing_key(self) -> str:
        """Return the path of the host key that has to be made, an empty string if there is none."""
        path = host_key(self.params["host_keys"][0])
        return "" if Path(path).exists() else path

    def usable_keys(self) -> List[str]:
        """Return the types of the host keys that are there and strong enough."""
        first, *others = self.params["host_keys"]
        usable = [first]
        for kind in others:
            public = self.read(f"{host_key(kind)}.pub")
            if public and (kind != "rsa" or rsa_bits(public.split()[1]) >= self.params["rsa_min_bits"]):
                usable.append(kind)
        return usable

    def algorithms(self, keys: List[str]) -> Dict[str, List[str]]:
        """Return the algorithms that this sshd knows, in the order of preference that was asked for."""
        wanted = {name: sshd.words(value) for name, value in self.params["algorithms"].items()}
        for name in wanted:
            if name.lower() == "hostkeyalgorithms":
                wanted[name] = sshd.key_types(wanted[name], keys)
        known = {name: [value for value in values if self.knows(name, value)] for name, values in wanted.items()}
        for name, values in known.items():
            if not values:
                found = ", ".join(wanted[name]) or "nothing"
                raise RefusedError(f"{sshd.variable(name)}: found {found}, wanted at least one that this sshd knows")
        return known

    def knows(self, keyword: str, algorithm: str) -> bool:
        """Whether this sshd has an algorithm; what it uses by default need not be tried."""
        if algorithm in ",".join(self.defaults.get(keyword.lower(), [])).split(","):
            return True
        return self.run([self.program, "-t", "-f", "/dev/null", "-o", f"{keyword}={algorithm}"])[0] == 0

    def options(self) -> Dict[str, Any]:
        """Return the directives of the drop-in."""
        keys = self.usable_keys()
        options = {name: value for name, value in self.params["options"].items() if sshd.words(value) not in ([], [""])}
        unknown = {name for name in self.params["known_only"] if name.lower() not in self.defaults}
        options = {name: value for name, value in options.items() if name not in unknown}
        if self.params["banner"]:
            options["Banner"] = self.params["banner_path"]
        options["HostKey"] = [host_key(kind) for kind in keys]
        options.update(self.algorithms(keys))
        self.drop_repeated_ports(options)
        return options

    def drop_repeated_ports(self, options: Dict[str, Any]) -> None:
        """Leave out the ports that other files set already: sshd would try to bind them twice."""
        elsewhere = {
            line.arguments[0]
            for line in self.other_lines()
            if line.keyword == "port" and not line.match and line.arguments
        }
        for name in list(options):
            if name.lower() == "port":
                options[name] = [port for port in sshd.words(options[name]) if port not in elsewhere]

    def other_lines(self) -> List[sshd.Line]:
        """Return all directives of the files other than the drop-in."""
        lines = sshd.parse(self.main_text, self.params["main"])
        for path in self.neighbours():
            if path != self.params["path"]:
                lines += sshd.parse(self.read(path) or "", path)
        return lines

    def neighbours(self) -> List[str]:
        return sorted(str(path) for path in Path(self.params["path"]).parent.glob("*"))

    def wishes(self, options: Dict[str, Any]) -> List[files.Wish]:
        """Return the files as they have to be, the drop-in first, then the main file."""
        params = self.params
        found = [
            wish(params["path"], sshd.render(params["header"], options), 0o600),
            wish(params["main"], sshd.place_include(self.main_text, params["main"], params["path"]), 0o600),
        ]
        if params["banner"]:
            found.append(wish(params["banner_path"], params["banner"].rstrip("\n") + "\n", 0o644))
        return found

    def check(self, wishes: List[files.Wish], options: Dict[str, Any]) -> List[str]:
        """Refuse a configuration that sshd does not take, that others override, or that locks the user out."""
        with tempfile.TemporaryDirectory(prefix="onprem-dify-") as directory:
            return self.check_in(Path(directory), wishes, options)

    def check_in(self, directory: Path, wishes: List[files.Wish], options: Dict[str, Any]) -> List[str]:
        dropin, main = directory / "dropin.conf", directory / "sshd_config"
        dropin.write_bytes(wishes[0].content or b"")
        staged = sshd.with_candidate(
            text(wishes[1]), self.params["main"], self.params["path"], str(dropin), self.neighbours()
        )
        main.write_text(staged, encoding="utf-8", errors="surrogateescape")

        # In check mode the key that is still to be made is missing, and sshd only says so.
        code, out, err = self.run([self.program, "-t", "-f", str(main)])
        if code != 0:
            raise RefusedError(f"sshd refuses the new configuration: {(err or out).strip()}")
        client = self.session.client if self.session else "127.0.0.1"
        full = {user: self.effective(main, user, client) for user in self.users()}
        lines = self.other_lines()
        overridden: List[sshd.Finding] = []
        for user, effective in full.items():
            overridden += sshd.overridden(options, self.effective(dropin, user, client), effective, lines)
        overridden += self.foreign_ports(full["root"], lines)
        if overridden:
            raise RefusedError("other files of sshd win over the wanted values: " + sentences(overridden))
        if self.session:
            user, client = self.session.user, self.session.client
            problems = findings(full[user], self.login(self.session, full[user]))
            if problems:
                raise RefusedError(f"{user} could not log in from {client} afterwards: {sentences(problems)}")
        return sshd.exceptions(options, lines)

    def foreign_ports(self, effective: Dict[str, List[str]], lines: List[sshd.Line]) -> List[sshd.Finding]:
        """Return the ports that only other files ask for; the drop-in may not even name a port."""
        found, wanted = set(effective.get("port", [])), set(sshd.words(self.params["options"].get("Port", [])))
        if not wanted or found == wanted:
            return []
        where = ", ".join(f"{line.path}:{line.number}" for line in lines if line.keyword == "port")
        text = f"{' '.join(sorted(found))} (set by {where})"
        return [sshd.Finding(sshd.variable("port"), text, " ".join(sorted(wanted)))]

    def users(self) -> List[str]:
        return sorted({"root", self.session.user} if self.session else {"root"})

    def effective(self, path: Path, user: str, client: str) -> Dict[str, List[str]]:
        """Return what sshd makes of a configuration for one login."""
        server, port = (self.session.server, self.session.port) if self.session else ("127.0.0.1", 22)
        spec = f"user={user},host={client},addr={client},laddr={server},lport={port}"
        code, out, err = self.run([self.program, "-T", "-f", str(path), "-C", spec])
        if code != 0:
            raise RefusedError(f"sshd refuses the new configuration: {(err or out).strip()}")
        return sshd.parse_effective(out)

    def login(self, session: Session, effective: Dict[str, List[str]]) -> Login:
        """Return all that decides about the login of the connecting user."""
        user = pwd.getpwnam(session.user)
        groups = tuple(sorted(group_name(gid) for gid in os.getgrouplist(user.pw_name, user.pw_gid)))
        shadow = parse_shadow(self.read("/etc/shadow") or "").get(user.pw_name)
        local = any(entry.name == user.pw_name for entry in parse_passwd(self.read("/etc/passwd") or ""))
        account = Account(
            name=user.pw_name,
            uid=user.pw_uid,
            groups=groups,
            shell=user.pw_shell,
            shell_usable=os.access(user.pw_shell or "/bin/sh", os.X_OK),
            # What a directory service holds cannot be read here.
            password=shadow.state if shadow else ("none" if local else "set"),
            expired=shadow.refusal(int(time.time() // 86400)) if shadow else "",
            nologin=next((path for path in ("/etc/nologin", "/var/run/nologin") if Path(path).exists()), ""),
        )
        strict = effective.get("strictmodes", ["yes"]) == ["yes"]
        paths = key_paths(effective, user.pw_name, user.pw_uid, user.pw_dir)
        files = tuple(read_keys(path, user, strict) for path in paths if Path(path).exists())
        return Login(session.client, session.server, session.port, account, files, time.strftime("%Y%m%d%H%M%S"))

    def reload_commands(self, dropin: files.Wish) -> List[List[str]]:
        """Return how sshd takes a new configuration, without ending the sessions that are open."""
        service, listener = self.params["service"], self.params["socket"]
        if not listener or self.run(["systemctl", "is-active", "--quiet", listener])[0] != 0:
            return [["systemctl", "reload-or-restart", service]]
        # The ports of the socket are made from sshd's configuration by a generator.
        moves = ports(self.read(str(dropin.path)) or "") != ports(text(dropin))
        commands = [["systemctl", "daemon-reload"], ["systemctl", "restart", listener]] if moves else []
        return [*commands, ["systemctl", "try-reload-or-restart", service]]

    def answers(self) -> bool:
        """Wait until sshd, which restarts itself at a reload, takes connections again."""
        address = (self.session.server, self.session.port) if self.session else ("127.0.0.1", 22)
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            time.sleep(0.2)
            try:
                with socket.create_connection(address, timeout=2) as connection:
                    if connection.recv(4) == b"SSH-":
                        return True
            except OSError:
                pass
            if time.monotonic() > deadline:
                return False


def find_program(module: Any) -> str:
    """Return where sshd is, an empty string if it is not installed."""
    return str(module.get_bin_path("sshd", False, ["/usr/sbin", "/usr/local/sbin"]) or "")


def wish(path: str, content: str, mode: int) -> files.Wish:
    """Return a file of root's as it has to be."""
    return files.Wish(Path(path), files.Attributes("root", "root", mode), content.encode("utf-8", "surrogateescape"))


def text(wanted: files.Wish) -> str:
    """Return the text of a file as it has to be."""
    return (wanted.content or b"").decode("utf-8", "surrogateescape")


def ports(dropin: str) -> List[Tuple[str, ...]]:
    """Return where a drop-in has sshd listen."""
    return [line.arguments for line in sshd.parse(dropin, "") if line.keyword in ("port", "listenaddress")]


def host_key(kind: str) -> str:
    """Return the path of a host key."""
    return f"/etc/ssh/ssh_host_{kind}_key"


def group_name(gid: int) -> str:
    """Return the name of a group, its number if it has none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def sentences(found: Sequence[sshd.Finding]) -> str:
    """Return findings as one text, each once."""
    return "; ".join(dict.fromkeys(str(finding) for finding in found))


def read_keys(path: str, user: pwd.struct_passwd, strict: bool) -> KeyFile:
    """Read an authorized_keys file as sshd would."""
    try:
        refused = unsafe(path, user) if strict else ""
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        return KeyFile(path, refused=str(error))
    return KeyFile(path, tuple(key for key in map(parse_key, lines) if key), refused)


def unsafe(path: str, user: pwd.struct_passwd) -> str:
    """Return why StrictModes refuses a file: it, or a directory above it up to the home, can be changed by others."""
    current = Path(os.path.realpath(path))
    home = Path(os.path.realpath(user.pw_dir))
    while True:
        found = current.stat()
        if found.st_uid not in (0, user.pw_uid):
            return f"{current} belongs to another user"
        if found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and not private_group(found.st_gid, user)):
            return f"{current} can be written by others (mode {stat.S_IMODE(found.st_mode):04o})"
        if current in (home, current.parent):
            return ""
        current = current.parent


def private_group(gid: int, user: pwd.struct_passwd) -> bool:
    """Whether only this user is in a group: Debian's sshd lets such a group write."""
    try:
        members = set(grp.getgrgid(gid).gr_mem)
    except KeyError:
        return False
    return gid in (0, user.pw_gid) and members <= {user.pw_name}


def apply(daemon: Daemon, rollback: Rollback) -> Dict[str, Any]:
    """Bring the configuration about; the rollback is armed before the first file changes."""
    module, params = daemon.module, daemon.params
    options = daemon.options()
    wishes = daemon.wishes(options)
    changes = [change for change in (files.plan(wish, files.read(wish)) for wish in wishes) if change is not None]
    new_key = daemon.missing_key()
    result: Dict[str, Any] = {"changed": bool(changes or new_key), "rollback_armed": False, "exceptions": []}
    result["diff"] = [part for change in changes for part in change.diff()]
    result["diff"] += [{"prepared": f"{new_key}: made\n"}] if new_key else []
    if not any(change.action == "write" for change in changes) and not new_key:
        Configure(module, wishes, []).run()
        return result

    result["exceptions"] = daemon.check(wishes, options)
    if result["exceptions"]:
        module.warn("sshd has exceptions in other files: " + "; ".join(result["exceptions"]))
    if module.check_mode:
        return result

    commands = daemon.reload_commands(wishes[0])
    keys = [new_key, f"{new_key}.pub"] if new_key else []
    rollback.arm([*(str(wish.path) for wish in wishes), *keys], commands, params["rollback_seconds"])
    try:
        if new_key:
            daemon.must(["ssh-keygen", "-q", "-t", params["host_keys"][0], "-N", "", "-f", new_key])
        Configure(module, wishes, []).run()
        daemon.must([daemon.program, "-t"])
        Stamp(NAME).set()
        for command in commands:
            daemon.must(command)
        if not daemon.answers():
            raise RefusedError("sshd does not answer after the reload")
    except (RefusedError, ConfigureError, files.FileError, OSError) as error:
        rollback.run_now()
        raise RefusedError(f"{error}; the old configuration is back") from error
    # Without a login over SSH there is nobody to lock out, and nobody to confirm.
    if daemon.session:
        result["rollback_armed"] = True
    else:
        rollback.disarm()
    return result


def confirm(daemon: Daemon, rollback: Rollback) -> Dict[str, Any]:
    """Keep the change, if this login was made after it."""
    if daemon.session and not Stamp(NAME).is_before(daemon.session):
        raise RefusedError("this login is older than the change and proves nothing")
    if not rollback.disarm():
        raise RefusedError("the login came too late: the old configuration is back already")
    return {"changed": False, "rollback_armed": False}
