# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gateway of a site serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.onprem.dify.plugins.module_utils import dify_tenants
from ansible_collections.onprem.dify.plugins.module_utils import gateway as core
from ansible_collections.onprem.dify.plugins.plugin_utils.plain import plain

DOCUMENTATION = r"""
name: gateway
short_description: Work out what the gateway serves
version_added: 0.4.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Returns each tenant with its host name, the workers behind it, the paths of its Dify and what each of them needs.
  - Sizes of bodies and times follow the settings of Dify, so that the gateway lets pass what Dify takes.
  - Fails if tenants share something, if a limit is none, if no flow leads to the port of a tenant, and if a host would
    have to serve two things at one port, with a line for each fault.
positional: site, release, settings, limits
options:
  _input:
    description: The tenants, as the variable C(dify_tenants) of the role P(onprem.dify.dify#role) holds them.
    type: list
    elements: dict
    required: true
  site:
    description: The site, as P(onprem.dify.site#filter) returns it.
    type: dict
    required: true
  release:
    description: The release, as P(onprem.dify.dify_release#lookup) returns it. Its images are not needed.
    type: dict
    required: true
  settings:
    description: Settings of Dify for all tenants, by family of services.
    type: dict
    required: true
  limits:
    description: C(gateway_client_rate), C(gateway_client_connections) and C(gateway_tenant_rate).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show how large a body may be on each path
  ansible.builtin.debug:
    msg: "{{ served.tenants | map(attribute='locations') }}"
  vars:
    served: "{{ dify_tenants | onprem.dify.gateway(site_facts, release, dify_settings, limits) }}"
    release: "{{ lookup('onprem.dify.dify_release', images=false) }}"
    limits: {gateway_client_rate: 50, gateway_client_connections: 200, gateway_tenant_rate: 500}
"""

RETURN = r"""
_value:
  description:
    - C(tenants) with C(name), C(hostname), C(certificate), C(workers), C(read_seconds) and C(locations).
    - C(port) is the one for users, C(alive) the socket at which keepalived asks.
    - C(drain_seconds) is how long connections may go on after the gateway took in another configuration.
  type: dict
"""


def gateway(
    tenants: Sequence[Mapping[str, Any]],
    site: Mapping[str, Any],
    release: Mapping[str, Any],
    settings: Mapping[str, Any],
    limits: Mapping[str, Any],
) -> dict[str, Any]:
    try:
        return core.plan(plain(tenants), plain(site), plain(release), plain(settings), plain(limits))
    except (core.GatewayError, dify_tenants.TenantError) as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"gateway": gateway}
