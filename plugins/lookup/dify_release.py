# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release of Dify that the site runs."""

from __future__ import annotations

DOCUMENTATION = r"""
name: dify_release
short_description: Look up the release of Dify that the site runs
version_added: 0.4.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Reads the files in C(releases), and the pins of the collection and of the site. C(dify) says which release it is.
  - Fails if there is no file for it, and if the digest of an image is not known, with the variable that gives it.
options:
  _terms:
    description: None.
  images:
    description: Whether images are needed. Without them nobody has to know their digests yet.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Show what the API of Dify runs from
  ansible.builtin.debug:
    msg: "{{ lookup('onprem.dify.dify_release').images.api.reference }}"
"""

RETURN = r"""
_list:
  description:
    - One dictionary, the file of the release. Each of its C(images) has a C(reference) of name, tag and digest.
      They and the following are there if O(images) was true.
    - C(router_image) is that of the nginx which lets the users in.
    - C(kubernetes_version) is the pinned version of Kubernetes.
  type: list
  elements: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

from ansible_collections.onprem.dify.plugins.module_utils import dify_release, pins
from ansible_collections.onprem.dify.plugins.plugin_utils import collection_files
from ansible_collections.onprem.dify.plugins.plugin_utils.plain import plain


class LookupModule(LookupBase):
    def run(self, terms: list[Any], variables: Mapping[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        self.set_options(var_options=variables, direct=kwargs)
        site = plain(self._templar.template((variables or {}).get("site_pins") or {}))
        try:
            known = pins.of_site(collection_files.bundle(), site)
            if not self.get_option("images"):
                return [dict(dify_release.named(collection_files.releases(), known))]
            release = dify_release.choose(collection_files.releases(), known)
            router = dify_release.image(known, "nginx")
        except (pins.PinError, dify_release.ReleaseError) as error:
            raise AnsibleError(str(error)) from error
        return [{**release, "router_image": router, "kubernetes_version": known["kubernetes"]["version"]}]
