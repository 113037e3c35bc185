# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a login that works now would still work under another configuration of sshd. No Ansible, no I/O.

What cannot be known here (which key the client holds, commands that print keys, certificates) counts as possible: the
fresh login after the change decides about it.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import shlex
import struct
from fnmatch import fnmatchcase
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.onprem.dify.plugins.module_utils.sshd import Effective, Finding, variable

NO_LOGIN_SHELLS = ("nologin", "false")


class Key(NamedTuple):
    """One line of an authorized_keys file."""

    kind: str
    bits: int  # RSA only
    options: Dict[str, str]  # lower case; a flag has an empty value


class KeyFile(NamedTuple):
    """An authorized_keys file; `refused` says why StrictModes would not read it."""

    path: str
    keys: Tuple[Key, ...] = ()
    refused: str = ""


class Account(NamedTuple):
    """What sshd and PAM ask about the user."""

    name: str
    uid: int
    groups: Tuple[str, ...]
    shell: str
    shell_usable: bool
    password: str  # set, locked ("!" before it) or none (nothing can be typed that matches)
    expired: str = ""  # why PAM would refuse the account, empty if it would not
    nologin: str = ""  # a file that keeps everybody but root out


class Login(NamedTuple):
    """The login to prove."""

    client: str
    server: str
    port: int
    account: Account
    key_files: Tuple[KeyFile, ...]
    today: str = ""  # YYYYMMDDHHMMSS


def parse_key(text: str) -> Optional[Key]:
    """Read a line of an authorized_keys file, None if it holds no key."""
    text = text.strip()
    if not text or text.startswith("#"):
        return None
    options: Dict[str, str] = {}
    if not _is_kind(text.split(None, 1)[0]):
        end = _options_end(text)
        options = _parse_options(text[:end])
        text = text[end:].strip()
    fields = text.split(None, 2)
    if len(fields) < 2 or not _is_kind(fields[0]):
        return None
    return Key(fields[0], rsa_bits(fields[1]) if fields[0] == "ssh-rsa" else 0, options)


def _is_kind(word: str) -> bool:
    return re.fullmatch(r"(ssh|ecdsa|sk-ssh|sk-ecdsa|webauthn-sk-ecdsa|rsa-sha2)-[A-Za-z0-9@.-]+", word) is not None


def _options_end(text: str) -> int:
    quoted = False
    for index, character in enumerate(text):
        if character == '"' and (index == 0 or text[index - 1] != "\\"):
            quoted = not quoted
        elif character.isspace() and not quoted:
            return index
    return len(text)


def _parse_options(text: str) -> Dict[str, str]:
    found = re.findall(r'([A-Za-z0-9-]+)(?:="((?:\\"|[^"])*)")?(?:,|$)', text)
    return {name.lower(): value.replace('\\"', '"') for name, value in found}


def rsa_bits(blob: str) -> int:
    """Return the length of an RSA key, 0 if it cannot be read."""
    try:
        data = base64.b64decode(blob)
        numbers = []
        while data:
            (length,) = struct.unpack(">I", data[:4])
            numbers.append(data[4 : 4 + length])
            data = data[4 + length :]
        return int.from_bytes(numbers[2], "big").bit_length()
    except (binascii.Error, IndexError, struct.error):
        return 0


def key_paths(effective: Effective, name: str, uid: int, home: str) -> List[str]:
    """Return the files in which sshd would look for the keys of a user."""
    paths = []
    for pattern in _words(effective, "authorizedkeysfile"):
        if pattern == "none":
            continue
        path = re.sub(
            r"%([%huU])", lambda found: {"%": "%", "h": home, "u": name, "U": str(uid)}[found.group(1)], pattern
        )
        paths.append(path if path.startswith("/") else f"{home}/{path}")
    return paths


def findings(effective: Effective, login: Login) -> List[Finding]:
    """Return what would keep the user out; all of it, so that it can be mended in one go."""
    return [
        *_account(effective, login),
        *_port(effective, login),
        *_allowed(effective, login),
        *_credentials(effective, login),
    ]


def _words(effective: Effective, keyword: str) -> List[str]:
    found: List[str] = []
    for value in effective.get(keyword, ()):
        try:
            found += shlex.split(value)
        except ValueError:
            found += value.split()
    return found


def _is(effective: Effective, keyword: str, value: str) -> bool:
    return list(effective.get(keyword, ())) == [value]


def _account(effective: Effective, login: Login) -> List[Finding]:
    account = login.account
    found = []
    if account.password == "locked" and _is(effective, "usepam", "no"):
        found.append(
            Finding(
                f"the password of {account.name}",
                "locked",
                "one that is not locked, or UsePAM: sshd refuses locked accounts without it",
            )
        )
    if not account.shell_usable or account.shell.rsplit("/", 1)[-1] in NO_LOGIN_SHELLS:
        found.append(Finding(f"the shell of {account.name}", account.shell or "none", "one that can be started"))
    if account.expired:
        found.append(Finding(f"the account of {account.name}", account.expired, "a valid one"))
    if account.nologin and account.uid != 0:
        found.append(Finding(account.nologin, "the file is there", "no such file: it keeps every user but root out"))
    return found


def _port(effective: Effective, login: Login) -> List[Finding]:
    found = []
    ports = _words(effective, "port")
    if ports and str(login.port) not in ports:
        wanted = f"{login.port} among them, the port of this connection (remove it when ansible_port is changed)"
        found.append(Finding(variable("port"), ", ".join(ports), wanted))
    elif not any(_listens(value, login) for value in effective.get("listenaddress", ("0.0.0.0:22", "[::]:22"))):
        found.append(
            Finding(
                variable("listenaddress"),
                ", ".join(effective["listenaddress"]),
                f"{login.server}, the address of this connection",
            )
        )
    return found


def _listens(value: str, login: Login) -> bool:
    value = value.split(" ", 1)[0]  # "address rdomain name"
    address, port = value.rsplit(":", 1)
    address = address.strip("[]")
    if port != str(login.port):
        return False
    try:
        listening, server = (
            ipaddress.ip_address(address.split("%")[0]),
            ipaddress.ip_address(login.server.split("%")[0]),
        )
    except ValueError:
        return True  # a name: not decided here
    return listening == server or (listening.is_unspecified and listening.version == server.version)


def _allowed(effective: Effective, login: Login) -> List[Finding]:
    account = login.account
    found = []
    denied, allowed = _words(effective, "denyusers"), _words(effective, "allowusers")
    if any(_user_matches(pattern, account.name, login.client) for pattern in denied):
        found.append(Finding(variable("DenyUsers"), " ".join(denied), f"a list without {account.name}"))
    if allowed and not _listed(allowed, lambda pattern: _user_matches(pattern, account.name, login.client)):
        found.append(
            Finding(variable("AllowUsers"), " ".join(allowed), f"{account.name} from {login.client} among them")
        )
    denied, allowed = _words(effective, "denygroups"), _words(effective, "allowgroups")
    if any(fnmatchcase(group, pattern) for pattern in denied for group in account.groups):
        found.append(
            Finding(
                variable("DenyGroups"),
                " ".join(denied),
                f"a list without the groups of {account.name}: {' '.join(account.groups)}",
            )
        )
    if allowed and not _listed(allowed, lambda pattern: any(fnmatchcase(group, pattern) for group in account.groups)):
        wanted = f"one of the groups of {account.name}: {' '.join(account.groups)}"
        found.append(Finding(variable("allowgroups"), " ".join(allowed), wanted))
    return found


def _listed(patterns: Sequence[str], matches: Callable[[str], bool]) -> bool:
    if any(matches(pattern[1:]) for pattern in patterns if pattern.startswith("!")):
        return False
    return any(matches(pattern) for pattern in patterns if not pattern.startswith("!"))


def _user_matches(pattern: str, user: str, client: str) -> bool:
    name, separator, host = pattern.rpartition("@")
    if not separator:
        return fnmatchcase(user, pattern)
    return fnmatchcase(user, name) and _host_matches(host, client)


def _host_matches(pattern: str, client: str) -> bool:
    if "/" in pattern:
        try:
            return ipaddress.ip_address(client.split("%")[0]) in ipaddress.ip_network(pattern, strict=False)
        except ValueError:
            return False
    return fnmatchcase(client, pattern)


def _credentials(effective: Effective, login: Login) -> List[Finding]:
    account = login.account
    root = "yes"
    if account.uid == 0:
        root = " ".join(effective.get("permitrootlogin", ("yes",)))
        if root == "no":
            return [
                Finding(
                    variable("permitrootlogin"),
                    "no",
                    "a user other than root to connect with (ansible_user), who may use sudo",
                )
            ]
    reasons = _key_reasons(effective, login)
    password = account.password == "set" and root == "yes"
    possible: Dict[str, bool] = {
        "publickey": not reasons,
        "password": password and _is(effective, "passwordauthentication", "yes"),
        "keyboard-interactive": password and _is(effective, "kbdinteractiveauthentication", "yes"),
        "gssapi-with-mic": _is(effective, "gssapiauthentication", "yes"),
        "hostbased": _is(effective, "hostbasedauthentication", "yes"),
    }
    methods = _words(effective, "authenticationmethods") or ["any"]
    if methods == ["any"]:
        # A ticket or a trusted host alone is nothing to rely on: they are on by default on some systems.
        if possible["publickey"] or possible["password"] or possible["keyboard-interactive"]:
            return []
    elif any(all(possible.get(name.split(":")[0], True) for name in way.split(",")) for way in methods):
        return []
    passwords = "passwords are refused" if not possible["password"] else "passwords are accepted"
    return [
        Finding(
            f"a key of {account.name}",
            f"{'; '.join(reasons) or 'one that is not enough'} ({passwords})",
            "a key that opens the login",
        )
    ]


def _key_reasons(effective: Effective, login: Login) -> List[str]:
    """Return why no key of the user would be accepted, nothing if one would."""
    if _is(effective, "pubkeyauthentication", "no"):
        return ["PubkeyAuthentication is off"]
    for other in ("authorizedkeyscommand", "trustedusercakeys"):
        if effective.get(other, ("none",))[0] != "none":
            return []
    reasons = []
    for file in login.key_files:
        if file.refused:
            reasons.append(f"{file.path}: {file.refused}")
            continue
        for number, key in enumerate(file.keys, start=1):
            reason = _key_reason(effective, key, login)
            if not reason:
                return []
            reasons.append(f"{file.path}, key {number}: {reason}")
    return reasons or ["no key in " + (" ".join(file.path for file in login.key_files) or "any file")]


def _key_reason(effective: Effective, key: Key, login: Login) -> str:
    accepted = ",".join(effective.get("pubkeyacceptedalgorithms", ("*",))).split(",")
    algorithms = ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"] if key.kind == "ssh-rsa" else [key.kind]
    certificates = (
        [f"{name}-cert-v01@openssh.com" for name in algorithms] if "cert-authority" in key.options else algorithms
    )
    if not any(fnmatchcase(name, pattern) for name in certificates for pattern in accepted):
        return f"{key.kind} is not in {variable('pubkeyacceptedalgorithms')}"
    least = int(" ".join(effective.get("requiredrsasize", ("0",))) or 0)
    if 0 < key.bits < least:
        return f"RSA with {key.bits} bits, {variable('requiredrsasize')} is {least}"
    if "from" in key.options and not _listed(
        key.options["from"].split(","), lambda pattern: _host_matches(pattern, login.client)
    ):
        return f'from="{key.options["from"]}" does not hold {login.client}'
    expiry = key.options.get("expiry-time", "").rstrip("Z")
    if expiry and login.today and expiry.ljust(14, "0") <= login.today:
        return f"expired at {expiry}"
    return ""
