#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_build
short_description: Build the bundle of a site
version_added: 0.2.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Fetches everything that the pins and the roles of the collection name, verifies it, and locks and signs it.
  - Files come by http, https or file, images by C(skopeo), packages by C(apt-get) or C(dnf), wheels by
    C(pip). None needs root.
  - What is there and right is not fetched again, so that a build that was broken off goes on where it was.
  - Logins for the sources are those of the person who builds, C(~/.netrc) and that of C(skopeo login).
  - Runs on the controller; no host is touched.
options:
  directory:
    description: Folder of the bundle.
    type: path
    required: true
  work_directory:
    description: Folder of what a build remembers for the next one, on the same file system.
    type: path
    required: true
  release:
    description: Name of the release, a day as C(2026.11.25), with C(.2) for a second one of that day.
    type: str
    required: true
  architectures:
    description: Architectures of the hosts.
    type: list
    elements: str
    choices: [amd64, arm64]
    default: [amd64]
  systems:
    description: Operating systems of the hosts.
    type: list
    elements: str
    default: [Debian_12]
  pins:
    description: The pins of the site, C(site_pins).
    type: dict
    default: {}
  sources:
    description: Rules of C(from) and C(to), which put other addresses in the place of the upstream ones.
    type: list
    elements: dict
    default: []
  repositories:
    description: Repositories of packages besides those of the systems.
    type: list
    elements: dict
    default: []
    suboptions:
      system:
        description: The system that its packages are for.
        type: str
        required: true
      uri:
        description: Its address. C($basearch) is the word of dnf for the architecture.
        type: str
        required: true
      suites:
        description: Its suites, of a repository of Debian.
        type: list
        elements: str
        default: []
      components:
        description: Its components.
        type: list
        elements: str
        default: [main]
      signed_by:
        description: File with the public key that signs it.
        type: path
        required: true
  keyrings:
    description: File with the public key of a system's packages, by system, where its makers do not sign them.
    type: dict
    default: {}
  packages:
    description: Packages besides those of the roles and the pins.
    type: list
    elements: str
    default: []
  earlier:
    description: Folders of earlier bundles. What is there and right is linked or copied from them, and not fetched.
    type: list
    elements: path
    default: []
  controller_pythons:
    description: Versions of Python of controllers, as C(3.12), besides those of the systems.
    type: list
    elements: str
    default: []
  wheel_links:
    description: Folders or pages with wheels that no index has.
    type: list
    elements: str
    default: []
  ca_file:
    description: File with certificates of authorities that are trusted besides those of the system.
    type: path
    default: ""
  signing_key:
    description: SSH key that signs the bundle. It is not signed without one.
    type: path
    default: ""
  repository_key:
    description: Folder of the key that signs the repositories of packages. Made if there is none.
    type: path
    required: true
  parallel:
    description: How many transfers there are at a time.
    type: int
    default: 6
attributes:
  action:
    description: Runs on the controller only.
    support: full
  check_mode:
    description: Does nothing, since only upstream knows what would be fetched.
    support: none
  diff_mode:
    description: There is none.
    support: none
"""

EXAMPLES = r"""
- name: Build the bundle
  onprem.dify.bundle_build:
    directory: /srv/bundle
    work_directory: /srv/bundle.work
    release: 2026.11.25
    signing_key: ~/.ssh/id_ed25519
    repository_key: ~/.config/onprem-dify/packages-key
"""

RETURN = r"""
release:
  description: The release.
  returned: success
  type: str
digest:
  description: Digest of the lock, by which two persons can compare what they have.
  returned: success
  type: str
files:
  description: How many files there are.
  returned: success
  type: int
images:
  description: How many images there are.
  returned: success
  type: int
size:
  description: Bytes of the bundle.
  returned: success
  type: int
fetched:
  description: Bytes that came over the network.
  returned: success
  type: int
left_out:
  description: What could not be fetched because no pin names it, a sentence each.
  returned: success
  type: list
  elements: str
"""
