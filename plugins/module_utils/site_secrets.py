# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The secrets of a site: which ones it needs, which may change, what is wrong with one. No Ansible, no I/O."""

from __future__ import annotations

import re
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set

from ansible_collections.onprem.dify.plugins.module_utils import dify_secrets
from ansible_collections.onprem.dify.plugins.module_utils.dify_tenants import key_of
from ansible_collections.onprem.dify.plugins.module_utils.preflight_model import (
    SITE,
    Finding,
    Inventory,
    nearest,
    one_of,
)
from ansible_collections.onprem.dify.plugins.module_utils.secret_forms import FORMS, is_published_default
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


class Secret(NamedTuple):
    """`group`: whose hosts need it. `keep`: why it is never rotated, if it is not.

    `application`: what a service of the data tier lets others in with, needed where the site gives the service, too.
    """

    name: str
    group: str
    form: str
    keep: str = ""
    application: bool = False


class RotationError(Exception):
    """A secret is not to be rotated; the text is for the user."""


_PASSPHRASE = "it opens a key of the authority, as docs/pki.md says"
_SIGNING = "members of the object store would refuse each other"

# A role that starts to use a secret adds its line here.
OF_SITE = (
    Secret("postgres_replication", "database", "password"),
    Secret("postgres_rewind", "database", "password"),
    Secret("postgres_monitor", "database", "password"),
    Secret("patroni_rest", "database", "password"),
    Secret("redis_replication", "cache", "password"),
    Secret("redis_sentinel", "cache", "password"),
    Secret("redis_check", "cache", "password"),
    Secret("redis_monitor", "cache", "password"),
    Secret("s3_backup_access_key", "objects", "access_key", application=True),
    Secret("s3_backup_secret_key", "objects", "secret_key", application=True),
    Secret("s3_volume_signing_key", "objects", "password", _SIGNING),
    Secret("s3_filer_signing_key", "objects", "password", _SIGNING),
    Secret("postgres_seaweedfs", "objects", "password"),
    Secret("kubernetes_encryption_key", "control_plane", "aes_key"),
    Secret("pki_root_key", "all", "password", _PASSPHRASE),
    Secret("pki_issuing_key", "all", "password", _PASSPHRASE),
)
KEPT_BY_TENANTS = {
    "secret_key": "what Dify has stored for its users could not be read any more, by anybody",
    "admin_password": "it is that of the first login; Dify keeps the one of now, and changes it in its console",
}
DEFAULT_TENANTS = ("dify",)


def table(tenants: Iterable[str] = DEFAULT_TENANTS) -> List[Secret]:
    """Every secret of a site with these tenants."""
    return [*OF_SITE, *(secret for tenant in tenants for secret in _of_tenant(key_of(tenant)))]


def _of_tenant(key: str) -> Iterator[Secret]:
    for name, pattern in dify_secrets.SERVICES.items():
        group = ENDPOINT_GROUPS.get(pattern.partition("_")[0])
        if group:
            form = next((form for form in ("access_key", "secret_key") if name.endswith(form)), "password")
            yield Secret(pattern.format(tenant=key), group, form, application=True)
    for name, form in dify_secrets.OWN.items():
        yield Secret(dify_secrets.name_at_site(name, key), "workers", form, KEPT_BY_TENANTS.get(name, ""))


def forms_of(tenants: Iterable[str] = DEFAULT_TENANTS) -> Dict[str, str]:
    """The form of each secret by its name."""
    return {secret.name: secret.form for secret in table(tenants)}


def needed(
    groups: Mapping[str, Sequence[str]],
    services: Iterable[str] = (),
    storage: Optional[Mapping[str, str]] = None,
    tenants: Sequence[str] = DEFAULT_TENANTS,
) -> List[str]:
    """The secrets that a site needs that has these groups, is given these services and stores its files like this."""
    given = {ENDPOINT_GROUPS.get(service) for service in services}
    elsewhere = secrets_elsewhere(storage or {}, [key_of(tenant) for tenant in tenants])
    return [
        secret.name
        for secret in table(tenants)
        if (groups.get(secret.group) or (secret.group in given and secret.application)) and secret.name not in elsewhere
    ]


def complete(
    existing: Mapping[str, Any],
    groups: Mapping[str, Sequence[str]],
    services: Iterable[str] = (),
    storage: Optional[Mapping[str, str]] = None,
    tenants: Sequence[str] = DEFAULT_TENANTS,
) -> Dict[str, Any]:
    """The existing secrets as they are, and a new one for each that is missing."""
    forms = forms_of(tenants)
    missing = [name for name in needed(groups, services, storage, tenants) if not existing.get(name)]
    return {**existing, **{name: FORMS[forms[name]].make() for name in missing}}


def rotate(
    existing: Mapping[str, Any],
    names: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    services: Iterable[str] = (),
    tenants: Sequence[str] = DEFAULT_TENANTS,
) -> Dict[str, Any]:
    """The secrets with new ones in the place of those that are named; all or none of them."""
    known = {secret.name: secret for secret in table(tenants)}
    # A group that has hosts wins over a service that is given.
    homes = [ENDPOINT_GROUPS.get(service) for service in services]
    given = {group for group in homes if group and not groups.get(group)}
    refused = [line for line in (_refusal(name, existing, known, given) for name in names) if line]
    if refused:
        raise RotationError("\n".join(refused))
    return {**existing, **{name: FORMS[known[name].form].make() for name in names}}


def _refusal(name: str, existing: Mapping[str, Any], known: Mapping[str, Secret], given: Set[str]) -> str:
    if name not in known:
        return f"{name} is unknown, wanted: {one_of(name, list(known))}"
    if known[name].keep:
        return f"{name} is never rotated: {known[name].keep}"
    if not existing.get(name):
        return f"{name} is not there yet, wanted: a run without rotation, which makes it"
    if known[name].group in given and known[name].application:
        return f"{name} belongs to a service that the site gives: change it there, and write it with ansible-vault edit"
    return ""


def tenants_of(value: Any) -> List[str]:
    """The names of tenants, as far as the variable `dify_tenants` makes sense."""
    entries = value if isinstance(value, (list, tuple)) else ()
    return [str(entry["name"]) for entry in entries if isinstance(entry, Mapping) and entry.get("name")]


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
    tenants = tenants_of(inventory.setting("dify_tenants"))
    forms = forms_of(tenants)
    missing = [name for name in needed(inventory.groups, services, storage, tenants) if not values.get(name)]
    if missing:
        found = "without " + ", ".join(missing)
        yield Finding("secret-missing", SITE, "site_secrets", found, dify_secrets.MISSING)

    owners: Dict[str, str] = {}
    for name, value in values.items():
        variable = f"site_secrets.{name}"
        close = nearest(str(name), missing, cutoff=0.8)
        if name not in forms and close:
            yield Finding("secret-unknown", SITE, variable, "unknown", close)
        if value is None or value == "":
            continue
        if not isinstance(value, str):
            yield Finding("secret-form", SITE, variable, "not a text", "a text, in quotes")
            continue
        form = FORMS[forms.get(name, "password")]
        if is_published_default(value):
            yield Finding(
                "secret-default", SITE, variable, "a published default or a placeholder", "a secret of this site"
            )
        elif len(value) < form.minimum:
            yield Finding(
                "secret-short", SITE, variable, f"{len(value)} characters long", f"at least {form.minimum} characters"
            )
        elif form.maximum and len(value) > form.maximum:
            yield Finding(
                "secret-short", SITE, variable, f"{len(value)} characters long", f"{form.maximum} characters or fewer"
            )
        elif name in forms and not re.fullmatch(form.pattern, value):
            yield Finding("secret-form", SITE, variable, "made of other characters", form.wanted)
        elif value in owners:
            yield Finding("secret-duplicate", SITE, variable, f"the same as {owners[value]}", "a secret of its own")
        owners.setdefault(value, str(name))
