# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be made of the site's certificate authority."""

from __future__ import annotations

DOCUMENTATION = r"""
name: authority
short_description: Say which parts of the site's certificate authority are due
version_added: 0.1.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Looks at the files of the authority on the controller. Keys are opened only where they will be used.
options:
  _terms:
    description: The fact C(site_facts.pki).
    type: list
    elements: dict
    required: true
  issuing_days:
    description: Life of a new issuing authority, for C(problems).
    type: int
    default: 1
  secrets:
    description: The secrets of the site, of which C(pki_root_key) and C(pki_issuing_key) are used.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show what has to be made
  ansible.builtin.debug:
    msg: "{{ lookup('onprem.dify.authority', site_facts.pki, issuing_days=1095, secrets=site_secrets).due }}"
"""

RETURN = r"""
_list:
  description:
    - One dictionary. C(due) lists the parts to be made, C(root) and C(issuing). It is empty if the site provides all.
    - C(problems) says why they cannot be made, or what is wrong with C(ca.crt) that the site provides.
    - C(trusted) are the certificates in PEM that the hosts of the site trust. Nothing before there is an authority.
    - C(number) is the number in the names of the files of the next issuing authority.
  type: list
  elements: dict
"""

import datetime
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

from ansible_collections.onprem.dify.plugins.module_utils.certificates import CertificateError
from ansible_collections.onprem.dify.plugins.plugin_utils.authority import Settings, load_certificates, pem, read_state
from ansible_collections.onprem.dify.plugins.plugin_utils.plain import plain
from ansible_collections.onprem.dify.plugins.plugin_utils.provided import AUTHORITY, problems


class LookupModule(LookupBase):
    def run(self, terms: list[Any], variables: Mapping[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        self.set_options(var_options=variables, direct=kwargs)
        now = datetime.datetime.now(datetime.UTC)
        try:
            settings = Settings.parse(plain(terms[0]))
            if settings.mode == "provided":
                roots = settings.directory / AUTHORITY
                trusted = pem(load_certificates(roots)) if roots.is_file() else ""
                return [{"due": [], "problems": problems(settings.directory), "number": 0, "trusted": trusted}]
            state = read_state(settings.directory)
        except CertificateError as error:
            raise AnsibleError(str(error)) from error
        found = state.problems(now, int(self.get_option("issuing_days")), self.get_option("secrets"))
        trusted = pem(state.roots)
        return [{"due": state.due(now), "problems": found, "number": state.next_number(), "trusted": trusted}]
