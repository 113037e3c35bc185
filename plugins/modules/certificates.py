#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificates
short_description: Give a service its certificates
version_added: 0.1.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Keys are made on the host and never leave it. The host's request comes to the controller, is signed there by the
    issuing authority of the site, and the certificate goes back with its chain.
  - A certificate is issued anew when its names, its kind of key or the authority differ, when key and certificate do
    not match, and when a third of its life is left or what the site says instead.
  - With certificates that the site provides, all that the task needs are checked before anything is changed, and every
    finding is listed.
  - Key and certificate are replaced in one step. A killed run leaves the old pair or the new one.
  - C(tls.key) and C(tls.pem) have mode 0600, C(tls.crt) and C(ca.crt) mode 0644. All belong to the given owner and
    group.
  - The end of every certificate of the host is written as a metric for the textfile collector of the node exporter.
  - The host needs C(openssl); the controller has what it needs with Ansible.
options:
  authority:
    description: The fact C(site_facts.pki), which role P(onprem.dify.site#role) works out.
    type: dict
    required: true
  passphrase:
    description: The secret C(pki_issuing_key). Needed when the site's own authority has to issue something.
    type: str
  certificates:
    description:
      - The certificates of the service.
      - Left out, all certificates that this site's controller has given to the host before.
    type: list
    elements: dict
    suboptions:
      name:
        description: Short name, in lower case.
        type: str
        required: true
      directory:
        description:
          - Where C(tls.crt), C(tls.key) and C(ca.crt) stand.
          - C(/etc/onprem-dify/pki/) and the name, unless given.
        type: path
      owner:
        description: Owner of the files. In check mode it need not exist yet.
        type: str
        default: root
      group:
        description: Group of the files. In check mode it need not exist yet.
        type: str
        default: root
      common_name:
        description: Common name, at most 64 characters. The first of O(certificates[].names), unless given.
        type: str
      names:
        description: DNS names and IP addresses under which the service is reached.
        type: list
        elements: str
        default: []
      combined:
        description: Whether there is also C(tls.pem), with the certificate, its chain and the key.
        type: bool
        default: false
      units:
        description:
          - Units that read the files, for C(playbooks/pki.yml), which renews without the role of the service.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Full name of the unit.
            type: str
            required: true
          on_change:
            description: What makes the unit take in new files.
            type: str
            choices: [restart, reload, none]
            default: reload
attributes:
  action:
    description: Has a part that runs on the controller.
    support: full
  check_mode:
    description: Says what would be issued and why, also before there is an authority, a user or C(openssl).
    support: full
  diff_mode:
    description: Shows names and ends of certificates, never a key.
    support: full
"""

EXAMPLES = r"""
- name: Give PostgreSQL its certificates
  onprem.dify.certificates:
    authority: "{{ site_facts.pki }}"
    passphrase: "{{ site_secrets.pki_issuing_key | default(omit) }}"
    certificates:
      - name: postgresql
        directory: /etc/onprem-dify/pki/postgresql
        owner: postgres
        group: postgres
        names: [db1.example.internal, postgres.example.internal, 10.20.3.11, 10.20.3.10]
        units:
          - {name: patroni.service, on_change: reload}
  register: certified

- name: Have PostgreSQL take in its configuration and newer certificates
  onprem.dify.configure:
    files: "{{ postgresql_files + certified.certificates | map(attribute='files') | flatten }}"
    units:
      - {name: patroni.service, enabled: true, state: started, on_change: reload}
"""

RETURN = r"""
renewed:
  description: The certificates that were issued, each with the reason.
  returned: success
  type: list
  elements: dict
  sample: [{name: postgresql, reason: there is none yet}]
certificates:
  description:
    - Every certificate with its C(units), and C(files) that tell its age, both in the form of M(onprem.dify.configure).
    - Units that started before the certificate was there follow, also after a killed run and in check mode.
  returned: success
  type: list
  elements: dict
"""
