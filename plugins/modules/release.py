#!/usr/bin/python

# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pinned program in a directory of its own."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release
short_description: Install a pinned archive, program or locked wheels, whole or not at all
version_added: 0.2.0
description:
  - Installs a version of a program into a directory of its own, O(directory)/O(name)-O(version).
  - The link O(directory)/O(name) leads to the version in use, and O(links) go through it.
    So one replaced link switches everything.
  - An archive is downloaded, its checksum verified, unpacked beside its place and renamed into it.
    Members that leave the directory, devices and links to the outside are refused. Files belong to root.
  - A single program that is published as it is stands in its directory under O(name).
  - Wheels are installed into a virtual environment at its final place, which counts only when all of it is there.
    Each of them needs a hash in O(requirements). Nothing is built and nothing but O(wheels) is asked.
  - A run that was killed leaves nothing that counts, and the next one cleans up after it.
  - A version that is complete is not downloaded again.
    If the same version is wanted from another archive, it is replaced.
author:
  - onprem.dify contributors (@onprem-dify)
options:
  name:
    description: Name of the component, in lower case.
    type: str
    required: true
  version:
    description: Exact version.
    type: str
    required: true
  kind:
    description: What is installed.
    type: str
    choices: [archive, program, venv]
    default: archive
  url:
    description:
      - Address of a tar archive or of a program, C(http://), C(https://) or C(file://) for one on the host itself.
    type: str
  sha256:
    description: Checksum of the archive or of the program.
    type: str
  strip_components:
    description: How many top directories of the archive are left out.
    type: int
    default: 0
  requirements:
    description: Text of a requirements file in which each line has one version and its hashes.
    type: str
  wheels:
    description: Directory on the host, or address of a page, with the wheels.
    type: str
  python:
    description: The Python of the virtual environment. On Debian its package C(python3-venv) has to be there.
    type: str
    default: /usr/bin/python3
  ca_path:
    description: Certificates of the authorities that vouch for the server. Without it, those of the host.
    type: path
  directory:
    description: Where the versions stand.
    type: path
    default: /opt/onprem-dify
  links:
    description:
      - Programs to link, by the name of the link. What they lead to is a path within the version.
      - A name that is no absolute path stands in C(/usr/local/bin).
    type: dict
    default: {}
  keep:
    description:
      - How many other versions stay, the most recently installed ones.
      - A version from which a process runs stays as well.
    type: int
    default: 1
attributes:
  check_mode:
    description: Can run in check mode and predict what would change, without any network.
    support: full
  diff_mode:
    description: Returns versions, links and what is removed.
    support: full
"""

EXAMPLES = r"""
- name: Install etcd from its pinned archive
  onprem.dify.release:
    name: etcd
    version: "{{ pin.version }}"
    url: "{{ pin.archive.url }}"
    sha256: "{{ pin.archive.sha256 }}"
    strip_components: 1
    links: {etcd: etcd, etcdctl: etcdctl}
  vars:
    pin: "{{ lookup('onprem.dify.pin', 'etcd', archive=true) }}"

- name: Install runc, which is a single program
  onprem.dify.release:
    name: runc
    kind: program
    version: "{{ pin.version }}"
    url: "{{ pin.archive.url }}"
    sha256: "{{ pin.archive.sha256 }}"
    links: {/usr/local/sbin/runc: runc}
  vars:
    pin: "{{ lookup('onprem.dify.pin', 'runc', archive=true) }}"

- name: Install Patroni from locked wheels
  onprem.dify.release:
    name: patroni
    version: "{{ pin.version }}"
    kind: venv
    requirements: "{{ pin.requirements }}"
    wheels: "{{ pin.wheels }}"
    links: {patroni: bin/patroni, patronictl: bin/patronictl}
  vars:
    pin: "{{ lookup('onprem.dify.pin', 'patroni', wheels=true) }}"
"""

RETURN = r"""
path:
  description: Directory of the version. A unit that names it changes with the version, and so is restarted.
  returned: success
  type: str
  sample: /opt/onprem-dify/etcd-3.6.14
current:
  description: The link to the version in use.
  returned: success
  type: str
  sample: /opt/onprem-dify/etcd
installed:
  description: Whether the version was not there yet.
  returned: success
  type: bool
links:
  description: Links that changed, with what they lead to.
  returned: success
  type: dict
removed:
  description: Directories of older versions that were removed.
  returned: success
  type: list
  elements: str
"""

import hashlib
import os
from pathlib import Path
from typing import IO, Any, Union
from urllib.parse import unquote, urlsplit

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import ConnectionError as TlsError
from ansible.module_utils.urls import open_url

from ansible_collections.onprem.dify.plugins.module_utils import pins, release

SPEC = {
    "name": {"type": "str", "required": True},
    "version": {"type": "str", "required": True},
    "kind": {"type": "str", "choices": ["archive", "program", "venv"], "default": "archive"},
    "url": {"type": "str"},
    "sha256": {"type": "str"},
    "strip_components": {"type": "int", "default": 0},
    "requirements": {"type": "str"},
    "wheels": {"type": "str"},
    "python": {"type": "str", "default": "/usr/bin/python3"},
    "ca_path": {"type": "path"},
    "directory": {"type": "path", "default": release.DIRECTORY},
    "links": {"type": "dict", "default": {}},
    "keep": {"type": "int", "default": 1},
}

TIMEOUT = 30


def main() -> None:
    module = AnsibleModule(
        argument_spec=SPEC,
        required_if=[
            ("kind", "archive", ["url", "sha256"]),
            ("kind", "program", ["url", "sha256"]),
            ("kind", "venv", ["requirements", "wheels"]),
        ],
        supports_check_mode=True,
    )
    os.umask(0o022)
    module.run_command_environ_update = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
    try:
        source, digest = source_of(module)
        release.parse_name(module.params["name"], module.params["version"])
        wish = release.Wish(
            name=module.params["name"],
            version=module.params["version"],
            parent=Path(module.params["directory"]),
            digest=digest,
            links=release.parse_links(module.params["links"], Path("/usr/local/bin")),
            keep=module.params["keep"],
        )
        done, diff = release.bring(wish, source, release.in_use(), module.check_mode)
    except release.ReleaseError as error:
        module.fail_json(msg=f"{module.params['name']} {module.params['version']}: {error}")
    except OSError as error:
        module.fail_json(msg=f"{error.filename or 'a file'}: {error.strerror}")
    module.exit_json(
        changed=bool(done),
        path=str(wish.path),
        current=str(wish.current),
        installed=done.install,
        links={str(path): target for path, target in done.links.items()},
        removed=[str(path) for path in done.remove],
        diff=diff,
    )


def source_of(module: AnsibleModule) -> tuple[Union[release.Archive, release.Program, release.Venv], str]:
    """What is installed, and the digest by which it is recognized."""
    params = module.params
    if params["kind"] != "venv":
        digest = release.parse_digest(params["sha256"])

        def opener(url: str) -> IO[bytes]:
            return open_address(url, params["ca_path"])

        if params["kind"] == "program":
            return release.Program(params["url"], digest, opener, module.run_command), digest
        return release.Archive(params["url"], digest, params["strip_components"], opener, module.run_command), digest
    bad = pins.unhashed(params["requirements"])
    if bad:
        raise release.ReleaseError(f"requirements: no version and hash in {'; '.join(bad)}")
    venv = release.Venv(
        params["requirements"], params["wheels"], params["python"], params["ca_path"] or "", module.run_command
    )
    return venv, hashlib.sha256(params["requirements"].encode()).hexdigest()


def open_address(url: str, ca_path: Any) -> IO[bytes]:
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Path(unquote(parts.path)).open("rb")
    if parts.scheme not in ("http", "https"):
        raise release.ReleaseError(f"url {url} is not an http, https or file address")
    try:
        return open_url(url, timeout=TIMEOUT, ca_path=ca_path)
    except TlsError as error:
        raise release.ReleaseError(f"{url}: {error}") from error


if __name__ == "__main__":
    main()
