# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The services that a site gives instead of hosts of its own."""

from __future__ import annotations

DOCUMENTATION = r"""
name: external_services
short_description: Look up which services a site gives, and all that is needed to use them
version_added: 0.2.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - A service is given if C(site_services) names it and its group has no hosts.
  - Of the S3 store it tells the buckets that the site uses, and nothing at all where there is none.
  - Completes the variables of role P(onprem.dify.external#role) with their defaults.
  - Reads the certificates of the authorities on the controller.
options:
  _terms:
    description: The fact C(site_facts).
    type: list
    elements: dict
    required: true
  settings:
    description: The variables C(external_postgresql), C(external_redis) and C(external_s3) by their names.
    type: dict
    required: true
  secrets:
    description: The secrets of the site.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show where the PostgreSQL of the site is
  ansible.builtin.debug:
    msg: "{{ lookup('onprem.dify.external_services', site_facts, settings=settings).services.postgres.host }}"
  vars:
    settings: {external_postgresql: "{{ external_postgresql }}"}
"""

RETURN = r"""
_list:
  description:
    - One dictionary. C(services) holds those of C(postgres), C(redis) and C(s3) that the site gives, in the form that
      M(onprem.dify.external_services) takes.
    - C(passwords) holds those secrets that they need, as far as the site has them, and no others.
  type: list
  elements: dict
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

from ansible_collections.onprem.dify.plugins.module_utils import external_model as model
from ansible_collections.onprem.dify.plugins.module_utils.postgresql_access import AccessError
from ansible_collections.onprem.dify.plugins.plugin_utils.plain import plain

SPECIFICATION = Path(__file__).parents[2] / "roles/external/meta/argument_specs.yml"


class LookupModule(LookupBase):
    def run(
        self, terms: list[Mapping[str, Any]], variables: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> list[dict[str, Any]]:
        self.set_options(var_options=variables, direct=kwargs)
        site, settings = plain(terms[0]), plain(self.get_option("settings"))
        options = plain(self._loader.load_from_file(str(SPECIFICATION)))["argument_specs"]["main"]["options"]
        services = {}
        for name in model.given(site):
            variable = model.VARIABLES[name]
            try:
                services[name] = model.describe(name, site, options[variable]["options"], settings.get(variable) or {})
            except AccessError as error:
                raise AnsibleError(f"{variable}: {error}") from error
            services[name]["ca"] = _text(services[name]["ca_file"])
        # A store in which nothing is stored is not asked.
        services = {name: service for name, service in services.items() if service.get("buckets") != []}
        needed = model.secret_names(services)
        secrets = self.get_option("secrets")
        return [{"services": services, "passwords": {name: secrets[name] for name in needed if secrets.get(name)}}]


def _text(path: str) -> str | None:
    """The certificates in a file of the controller. That it cannot be read is a finding among the others."""
    if not path:
        return ""
    try:
        return Path(path).expanduser().read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
