# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sign a lock and verify its signature, with SSH keys and OpenSSH. No Ansible.

Whom a site trusts stands in lines of the form of `allowed_signers` in ssh-keygen(1). The clock decides nothing: a site
without internet may have a wrong one, and who sets it back would bring an expired key to life. Lines that need a clock
are refused; a key that is no longer trusted is taken out.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import List, Sequence, Tuple

NAMESPACE = "onprem-dify-bundle"
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
# Text in quotes counts as one word, as OpenSSH reads it.
_WORD = re.compile(r'(?:[^\s"]|"[^"]*")+')
_OPTION = re.compile(r'(?:[^,"]|"[^"]*")+')
_KEY_TYPE = re.compile(r"(ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9-]+(@openssh\.com)?")
_CLOCKED = ("valid-after", "valid-before", "cert-authority")


class SignatureError(Exception):
    """Nobody whom the site trusts signed this; `kind` says what it is instead, the text is for the user."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclass(frozen=True)
class Signer:
    """A line of the trusted signers: who it is, and the key with its options."""

    name: str
    key: str


def parse_signers(lines: Sequence[str]) -> List[Signer]:
    """The trusted signers, from lines such as `release@bank.internal ssh-ed25519 AAAA...`."""
    found = [_signer(line) for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not found:
        raise SignatureError("signers", "no trusted signer is given, so that no bundle can be trusted")
    return found


def sign(data: bytes, key: Path) -> bytes:
    """The signature of `key`: a private key, or a public one whose private half an agent holds."""
    command = ["ssh-keygen", "-Y", "sign", "-f", str(key), "-n", NAMESPACE]
    code, signature, errors = _run(command, data)
    if code != 0 or _BEGIN.encode() not in signature:
        raise SignatureError("sign", f"the key {key} does not sign: {_last_line(errors)}")
    return signature


def verify_by(data: bytes, signature: bytes, signers: Sequence[Signer]) -> str:
    """Who of the trusted signers signed these bytes as the lock of a bundle."""
    namespace, fingerprint = _inside(signature)
    if namespace != NAMESPACE:
        raise SignatureError(
            "namespace", f"the signature is one for {namespace!r}, wanted is one for {NAMESPACE!r}, made by bundle_sign"
        )
    with tempfile.TemporaryDirectory() as folder:
        file, allowed = Path(folder, "signature"), Path(folder, "allowed_signers")
        file.write_bytes(signature)
        known = ["-n", NAMESPACE, "-s", str(file)]
        # One line at a time: the name of a line may be a pattern, and a key may stand in several lines.
        for signer in signers:
            allowed.write_text(f"signer {signer.key}\n", encoding="utf-8")
            code, _output, _errors = _run(
                ["ssh-keygen", "-Y", "verify", "-f", str(allowed), "-I", "signer", *known], data
            )
            if code == 0:
                return signer.name
        code, _output, _errors = _run(["ssh-keygen", "-Y", "check-novalidate", *known], data)
    if code != 0:
        raise SignatureError("altered", f"it was changed after the key {fingerprint} signed it")
    names = ", ".join(signer.name for signer in signers)
    raise SignatureError("stranger", f"it is signed by the key {fingerprint}, which is not one of {names}")


def _signer(line: str) -> Signer:
    words = _WORD.findall(line)
    name, rest = (words[0].strip('"'), words[1:]) if words else ("", [])
    options: List[str] = []
    if rest and not _KEY_TYPE.fullmatch(rest[0]):
        options = _OPTION.findall(rest.pop(0))
    if len(rest) < 2 or not _KEY_TYPE.fullmatch(rest[0]):
        raise SignatureError("signers", f"the trusted signer {line!r} has not the form 'name ssh-ed25519 AAAA...'")
    for option in options:
        word = option.partition("=")[0].lower()
        if word in _CLOCKED:
            raise SignatureError(
                "signers",
                f"the trusted signer {name}: {word} needs a right clock, which a site cannot count on. "
                "Name the key itself, and take it out when it is no longer trusted",
            )
        if word != "namespaces":
            raise SignatureError("signers", f"the trusted signer {name}: unknown option {word}")
    return Signer(name, " ".join([",".join(options), rest[0], rest[1]]).strip())


def _inside(signature: bytes) -> Tuple[str, str]:
    """Purpose and key of a signature, only to say what is wrong with it: OpenSSH decides."""
    try:
        text = signature.decode("ascii").strip()
        if not text.startswith(_BEGIN) or not text.endswith(_END):
            raise ValueError
        raw = base64.b64decode("".join(text[len(_BEGIN) : -len(_END)].split()), validate=True)
        if raw[:6] != b"SSHSIG":
            raise ValueError
        key, end = _text(raw, 10)
        namespace, _end = _text(raw, end)
        fingerprint = base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")
        return namespace.decode("utf-8"), f"SHA256:{fingerprint}"
    except (ValueError, binascii.Error, struct.error) as error:
        raise SignatureError("altered", "the signature is not one of ssh-keygen, or was cut off") from error


def _text(raw: bytes, start: int) -> Tuple[bytes, int]:
    (length,) = struct.unpack_from(">I", raw, start)
    end = start + 4 + length
    if end > len(raw):
        raise ValueError
    return raw[start + 4 : end], end


def _run(command: List[str], data: bytes) -> Tuple[int, bytes, str]:
    try:
        done = subprocess.run(command, input=data, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise SignatureError("tool", "ssh-keygen is missing; it is in the package of the OpenSSH client") from error
    return done.returncode, done.stdout, done.stderr.decode("utf-8", "replace")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "ssh-keygen gave no reason"
