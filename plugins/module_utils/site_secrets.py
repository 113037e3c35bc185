# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The secrets of a site: which ones it needs, how they are made, what is wrong with one. No Ansible, no I/O."""

from __future__ import annotations

import base64
import re
import secrets
import string
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.onprem.dify.plugins.module_utils.preflight_model import SITE, Finding, Inventory, nearest
from ansible_collections.onprem.dify.plugins.module_utils.site import ENDPOINT_GROUPS
from ansible_collections.onprem.dify.plugins.module_utils.storage import VARIABLES, secrets_elsewhere

CHECKS = {
    "secret-missing": "Every secret that the groups of the site need is there",
    "secret-default": "No secret is a published default",
    "secret-short": "Every secret has the length that it must have",
    "secret-duplicate": "No two secrets are the same",
    "secret-form": "Every secret is a text in the form that its service reads",
    "secret-unknown": "No secret is a misspelt one",
    "secret-plain": "The file with the secrets is encrypted",
}

# Where the secrets of a site stand, beside its inventory.
SECRETS_FILE = "group_vars/all/secrets.yml"


@dataclass(frozen=True)
class Form:
    """How a kind of secret is made and recognised."""

    make: Callable[[], str]
    pattern: str
    minimum: int
    wanted: str


def _text(alphabet: str, length: int) -> Callable[[], str]:
    return lambda: "".join(secrets.choice(alphabet) for _position in range(length))


# Letters and digits only: a password also stands in URLs, connection strings and shell-like files.
FORMS: Dict[str, Form] = {
    "password": Form(
        _text(string.ascii_letters + string.digits, 32), r"[A-Za-z0-9._~-]+", 16, "letters, digits and ._~-"
    ),
    # A store that the site gives makes its own keys, some of small letters or in base64.
    "access_key": Form(_text(string.ascii_uppercase + string.digits, 20), r"[A-Za-z0-9]+", 16, "letters and digits"),
    "secret_key": Form(
        _text(string.ascii_letters + string.digits, 32), r"[A-Za-z0-9+/=._~-]+", 16, "letters, digits and +/=._~-"
    ),
    "aes_key": Form(
        lambda: base64.b64encode(secrets.token_bytes(32)).decode(),
        r"[A-Za-z0-9+/]{43}=",
        44,
        "32 random bytes in base64",
    ),
    "key": Form(
        lambda: base64.b64encode(secrets.token_bytes(42)).decode(), r"[A-Za-z0-9+/]+=*", 56, "42 random bytes in base64"
    ),
}

# name, the group that needs it, form. A role that starts to use a secret adds its line here.
TABLE: Tuple[Tuple[str, str, str], ...] = (
    ("postgres_replication", "database", "password"),
    ("postgres_rewind", "database", "password"),
    ("postgres_monitor", "database", "password"),
    ("postgres_dify", "database", "password"),
    ("postgres_dify_plugin", "database", "password"),
    ("postgres_dify_vector", "database", "password"),
    ("patroni_rest", "database", "password"),
    ("redis_replication", "cache", "password"),
    ("redis_sentinel", "cache", "password"),
    ("redis_check", "cache", "password"),
    ("redis_monitor", "cache", "password"),
    ("redis_dify", "cache", "password"),
    ("s3_dify_access_key", "objects", "access_key"),
    ("s3_dify_secret_key", "objects", "secret_key"),
    ("s3_dify_plugin_access_key", "objects", "access_key"),
    ("s3_dify_plugin_secret_key", "objects", "secret_key"),
    ("s3_backup_access_key", "objects", "access_key"),
    ("s3_backup_secret_key", "objects", "secret_key"),
    ("s3_volume_signing_key", "objects", "password"),
    ("s3_filer_signing_key", "objects", "password"),
    ("postgres_seaweedfs", "objects", "password"),
    ("kubernetes_encryption_key", "control_plane", "aes_key"),
    ("dify_secret_key", "workers", "key"),
    ("pki_root_key", "all", "password"),
    ("pki_issuing_key", "all", "password"),
)
FORM_OF: Dict[str, str] = {name: form for name, _group, form in TABLE}
# What applications log in with. They need it too where the site gives the service and runs no group for it.
OF_APPLICATIONS = re.compile(
    r"postgres_dify(_plugin|_vector)?|redis_dify|s3_(dify|dify_plugin|backup)_(access|secret)_key"
)

# Published by Dify, by the services beneath it, or in every tutorial. Compared without case.
_PUBLISHED = """
sk-9f73s3ljTXVcMT3Blb3ljTqtsKiGHXVcMT3BlbkFJLK7U
difyai123456
dify-sandbox
lYkiYYT6owG+71oLerGzA7GXCgOT++6ovaezWAjpCjf+Sjc3ZtU+qUEi
QaHbTe77CtuXmsfyhR7+vRjI/+XbV1AaFy691iy+kGDv2Jvy0/eAh8Y1
WVF5YThaHlkYwhGUSmCRgsX3tD5ngdN8pkih
dify-agent-run-token-for-dev-only
MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY
dify-plugin-daemon dify-inner-api-key testpassword redis_password
minioadmin minio123 admin administrator adminadmin admin123 admin123456
changeme changeit default dify example guest p@ssw0rd passw0rd password password123 postgres postgrespassword
redis redispassword replicator root secret test test1234 welcome1 123456 12345678 123456789 1234567890
"""
PUBLISHED_DEFAULTS = frozenset(_PUBLISHED.lower().split())
# Placeholders and defaults that carry a version or a hint, such as "...-for-dev-only".
PLACEHOLDER = re.compile(r"change.?me|replace.?me|for-dev-only|your[-_].*(key|password|secret)|<.*>", re.IGNORECASE)


def needed(
    groups: Mapping[str, Sequence[str]], services: Iterable[str] = (), storage: Optional[Mapping[str, str]] = None
) -> List[str]:
    """The secrets that a site needs that has these groups, is given these services and stores its files like this."""
    given = {ENDPOINT_GROUPS.get(service) for service in services}
    elsewhere = secrets_elsewhere(storage or {})
    return [
        name
        for name, group, _form in TABLE
        if (groups.get(group) or (group in given and OF_APPLICATIONS.fullmatch(name))) and name not in elsewhere
    ]


def complete(
    existing: Mapping[str, Any],
    groups: Mapping[str, Sequence[str]],
    services: Iterable[str] = (),
    storage: Optional[Mapping[str, str]] = None,
) -> Dict[str, Any]:
    """The existing secrets as they are, and a new one for each that is missing."""
    missing = [name for name in needed(groups, services, storage) if not existing.get(name)]
    return {**existing, **{name: FORMS[FORM_OF[name]].make() for name in missing}}


def is_published_default(value: str) -> bool:
    return value.lower() in PUBLISHED_DEFAULTS or bool(PLACEHOLDER.search(value))


def findings(inventory: Inventory) -> Iterator[Finding]:
    """What is wrong with the secrets; their values never stand in a finding."""
    values = inventory.setting("site_secrets")
    for path in inventory.plain_secret_files:
        yield Finding(
            "secret-plain",
            SITE,
            "site_secrets",
            f"in plain text in {path}",
            "the file encrypted: ansible-vault encrypt",
        )
    services = [name for name, addresses in inventory.setting("site_services").items() if addresses]
    storage = {purpose: inventory.setting(variable) for purpose, variable in VARIABLES.items()}
    missing = [name for name in needed(inventory.groups, services, storage) if not values.get(name)]
    if missing:
        wanted = "these too: `ansible-playbook playbooks/secrets.yml -i INVENTORY` makes them"
        yield Finding("secret-missing", SITE, "site_secrets", "without " + ", ".join(missing), wanted)

    owners: Dict[str, str] = {}
    for name, value in values.items():
        variable = f"site_secrets.{name}"
        close = nearest(str(name), missing, cutoff=0.8)
        if name not in FORM_OF and close:
            yield Finding("secret-unknown", SITE, variable, "unknown", close)
        if value is None or value == "":
            continue
        if not isinstance(value, str):
            yield Finding("secret-form", SITE, variable, "not a text", "a text, in quotes")
            continue
        form = FORMS[FORM_OF.get(name, "password")]
        if is_published_default(value):
            yield Finding(
                "secret-default", SITE, variable, "a published default or a placeholder", "a secret of this site"
            )
        elif len(value) < form.minimum:
            yield Finding(
                "secret-short", SITE, variable, f"{len(value)} characters long", f"at least {form.minimum} characters"
            )
        elif name in FORM_OF and not re.fullmatch(form.pattern, value):
            yield Finding("secret-form", SITE, variable, "made of other characters", form.wanted)
        elif value in owners:
            yield Finding("secret-duplicate", SITE, variable, f"the same as {owners[value]}", "a secret of its own")
        owners.setdefault(value, str(name))
