# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What kubeadm is told on a host."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.onprem.dify.plugins.module_utils import kubeadm_configuration

DOCUMENTATION = r"""
name: kubeadm
short_description: Work out the configuration of kubeadm for one host
version_added: 0.4.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Returns the documents from which kubeadm makes a cluster on the host, or with which the host joins one.
  - Fails if the site has several control planes and no address for all of them.
positional: host, settings
options:
  _input:
    description: The site, as P(onprem.dify.site#filter) returns it.
    type: dict
    required: true
  host:
    description: Name of the host.
    type: str
    required: true
  settings:
    description:
      - C(version) of Kubernetes, C(image_tags) by C(etcd) and C(coredns), C(directory) of what the API server reads and
        C(files), which stands for its contents, C(kms_socket) of a plugin that encrypts, C(audit) with C(directory),
        C(days), C(files) and C(megabytes), C(kubelet) and C(kube_proxy) with further fields of their configuration, and
        C(ignore_preflight_errors).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show from what the cluster is made
  ansible.builtin.debug:
    msg: "{{ (site_facts | onprem.dify.kubeadm(inventory_hostname, settings)).init }}"
"""

RETURN = r"""
_value:
  description:
    - C(init) and C(join) are the documents of the two ways, C(endpoint) is the address and port of the Kubernetes API.
  type: dict
"""


def kubeadm(site: Mapping[str, Any], host: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {
            "endpoint": kubeadm_configuration.api_endpoint(site),
            "init": kubeadm_configuration.init_documents(site, host, settings),
            "join": kubeadm_configuration.join_documents(site, host, settings),
        }
    except kubeadm_configuration.ConfigurationError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"kubeadm": kubeadm}
