# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""With which keys the API server encrypts what it stores, and how it comes to other ones. No Ansible, no I/O.

The first key of the configuration writes, all of them read. So a new key is known everywhere before it writes anywhere,
and the old one goes when nothing is left that it has written.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any, Dict, Iterable, List, NamedTuple, Sequence, Set, Union

STORED = "/registry/secrets/"


class EncryptionError(Exception):
    """The keys cannot be those that are wished; the text is for the user."""


class Key(NamedTuple):
    """A key of AES-GCM. It is named after itself, so that another key has another name."""

    name: str
    secret: str

    @property
    def prefix(self) -> bytes:
        return f"k8s:enc:aesgcm:v1:{self.name}:".encode()


class Kms(NamedTuple):
    """A plugin for keys that never leave their service, version 2 of its interface."""

    name: str
    socket: str

    @property
    def prefix(self) -> bytes:
        return f"k8s:enc:kms:v2:{self.name}:".encode()


Writer = Union[Key, Kms]


def key_of(secret: str) -> Key:
    return Key(f"key-{hashlib.sha256(secret.encode()).hexdigest()[:8]}", secret)


def render(writers: Sequence[Writer]) -> str:
    """The configuration, as JSON, which is YAML too. What was written without encryption can still be read."""
    providers: List[Dict[str, Any]] = []
    for one in writers:
        if isinstance(one, Kms):
            endpoint = f"unix://{one.socket}"
            providers.append({"kms": {"apiVersion": "v2", "name": one.name, "endpoint": endpoint, "timeout": "3s"}})
        elif providers and "aesgcm" in providers[-1]:
            providers[-1]["aesgcm"]["keys"].append(one._asdict())
        else:
            providers.append({"aesgcm": {"keys": [one._asdict()]}})
    document = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{"resources": ["secrets"], "providers": [*providers, {"identity": {}}]}],
    }
    return json.dumps(document, indent=2) + "\n"


def parse(text: str) -> List[Writer]:
    """The keys of a configuration as this collection writes it."""
    found: List[Writer] = []
    try:
        (rule,) = json.loads(text)["resources"]
        for provider in rule["providers"][:-1]:
            if "kms" in provider:
                found.append(Kms(provider["kms"]["name"], provider["kms"]["endpoint"].partition("unix://")[2]))
            else:
                found += [Key(one["name"], one["secret"]) for one in provider["aesgcm"]["keys"]]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise EncryptionError("it is not one of this collection") from error
    if not found:
        raise EncryptionError("it names no key")
    return found


def added(found: Sequence[Writer], wanted: Writer) -> List[Writer]:
    """The wanted key is read as well."""
    return list(found) if wanted in found else [*found, wanted]


def first(found: Sequence[Writer], wanted: Writer) -> List[Writer]:
    """The wanted key writes from now on."""
    if wanted not in found:
        raise EncryptionError(f"{wanted.name} is not known yet: it has to be added before it writes")
    return [wanted, *(one for one in found if one != wanted)]


def alone(found: Sequence[Writer], wanted: Writer) -> List[Writer]:
    """The wanted key is the only one."""
    if found[0] != wanted:
        raise EncryptionError(f"{found[0].name} still writes: {wanted.name} has to come first")
    return [wanted]


def kept(found: Sequence[Writer], wanted: Writer) -> List[Writer]:
    """The keys as they are, if the wanted one is alone among them."""
    if list(found) != [wanted]:
        names = ", ".join(one.name for one in found)
        raise EncryptionError(
            f"its keys are {names}, the inventory's is {wanted.name} (site_secrets.kubernetes_encryption_key, or"
            " kubeadm_kms_socket). What the others have written could not be read any more: run"
            " playbooks/kubernetes_rotate.yml, which changes keys, and then this again"
        )
    return list(found)


STEPS = {"add": added, "first": first, "remove": alone, "keep": kept}


def after_earlier(found: Sequence[Writer], wanted: Writer, step: str) -> List[Writer]:
    """The keys as they are when the steps before this one have been done."""
    if step in ("add", "keep"):
        return list(found)
    known = added(found, wanted)
    return first(known, wanted) if step == "remove" else known


_LOADED = re.compile(r"^apiserver_encryption_config_controller_last_config_info\{(.*)\} 1$", re.MULTILINE)
_HASH = re.compile(r'(?:^|,)hash="sha256:([0-9a-f]{64})"')


def loaded(metrics: str) -> Set[str]:
    """Checksums of the configuration that an API server works with, from its metrics."""
    return {found[1] for labels in _LOADED.findall(metrics) for found in [_HASH.search(labels)] if found}


def checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Stored(NamedTuple):
    """A secret in etcd. `ours`: the wanted key has written it."""

    namespace: str
    name: str
    ours: bool


def parse_stored(text: str, wanted: Writer) -> List[Stored]:
    """What `etcdctl get --prefix --write-out=json` says of all secrets."""
    found = []
    for entry in json.loads(text).get("kvs") or []:
        path = base64.b64decode(entry["key"]).decode()[len(STORED) :]
        # The beginning is enough, and a whole one may be long.
        begins = base64.b64decode(entry.get("value", "")[:400])
        namespace, _slash, name = path.partition("/")
        found.append(Stored(namespace, name, begins.startswith(wanted.prefix)))
    return found


_WRITTEN = re.compile(rb"k8s:enc:(?:aesgcm:v1|kms:v2):([\w.-]{1,100}):")
# Longer than what is looked for, which may lie across the border of two parts.
_OVERLAP = 200


def writers_in(parts: Iterable[bytes]) -> Set[str]:
    """Names of the keys that have written something into data of etcd, from earlier times too."""
    found: Set[str] = set()
    rest = b""
    for part in parts:
        text = rest + part
        found |= {name.decode() for name in _WRITTEN.findall(text)}
        rest = text[-_OVERLAP:]
    return found


def unreadable(written: Set[str], known: Set[str]) -> str:
    """Why a snapshot cannot be read with the keys of a control plane; empty if it can."""
    if not written or written & known:
        return ""
    return (
        f"its secrets were written by {', '.join(sorted(written))}, and this control plane knows"
        f" {', '.join(sorted(known)) or 'no key'}. Add the key from then as a further one, on every control plane,"
        " restore, and let playbooks/kubernetes_rotate.yml take it away again"
    )
