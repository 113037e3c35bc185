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
  - Installs a version of a program into a directory of its own below O(directory), by its name and its version.
  - A link by the name alone leads to the version in use, and O(links) go through it.
    So one replaced link switches everything.
  - An archive is downloaded, its checksum verified, unpacked beside its place and renamed into it.
    Members that leave the directory, devices and links to the outside are refused. Files belong to root.
  - A single program that is published as it is stands in its directory under its name.
  - Wheels are installed into a virtual environment at its final place, which counts only when all of it is there.
    Each of them needs a hash. Nothing is built.
  - Where a source does not answer, or what came from it is not what is pinned, the next one is asked and a warning
    names the one that failed. Nobody else is asked.
  - A run that was killed leaves nothing that counts, and the next one cleans up after it.
  - A version that is complete is not downloaded again.
    If the same version is wanted from another archive, it is replaced.
author:
  - onprem.dify contributors (@onprem-dify)
options:
  pin:
    description:
      - What is installed, as the lookup P(onprem.dify.pin#lookup) returns it. The module reads C(name), C(version) and,
        where it is there, C(ca_path), the certificates of the authorities that vouch for the servers.
      - Of an archive or a program, it reads C(archive) with C(sha256) and C(urls), the addresses from which it can be
        taken, C(http://), C(https://) or C(file://) for one on the host itself.
      - Of wheels, it reads C(requirements), the text of a requirements file in which each line has one version and its
        hashes, and C(wheel_links), directories on the host or addresses of pages with the wheels.
    type: dict
    required: true
  kind:
    description: What is installed.
    type: str
    choices: [archive, program, venv]
    default: archive
  strip_components:
    description: How many top directories of the archive are left out.
    type: int
    default: 0
  python:
    description: The Python of the virtual environment. On Debian its package C(python3-venv) has to be there.
    type: str
    default: /usr/bin/python3
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
    pin: "{{ lookup('onprem.dify.pin', 'etcd', archive=true) }}"
    strip_components: 1
    links: {etcd: etcd, etcdctl: etcdctl}

- name: Install runc, which is a single program
  onprem.dify.release:
    pin: "{{ lookup('onprem.dify.pin', 'runc', archive=true) }}"
    kind: program
    links: {/usr/local/sbin/runc: runc}

- name: Install Patroni from locked wheels
  onprem.dify.release:
    pin: "{{ lookup('onprem.dify.pin', 'patroni', wheels=true) }}"
    kind: venv
    links: {patroni: bin/patroni, patronictl: bin/patronictl}

- name: Install a program that the collection has no pin for
  onprem.dify.release:
    pin:
      name: example
      version: "1.2.3"
      archive:
        urls: ["https://files.bank.internal/example-1.2.3.tar.gz"]
        sha256: 61c9a2c0d5981a78482025b6b69728521fbc78506d68b223d4a2eb825de5ca3d
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

import os
from pathlib import Path
from typing import IO, Callable
from urllib.parse import unquote, urlsplit

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import ConnectionError as TlsError
from ansible.module_utils.urls import open_url

from ansible_collections.onprem.dify.plugins.module_utils import release
from ansible_collections.onprem.dify.plugins.module_utils.release_pin import Pinned, parse_pin

SPEC = {
    "pin": {"type": "dict", "required": True},
    "kind": {"type": "str", "choices": ["archive", "program", "venv"], "default": "archive"},
    "strip_components": {"type": "int", "default": 0},
    "python": {"type": "str", "default": "/usr/bin/python3"},
    "directory": {"type": "path", "default": release.DIRECTORY},
    "links": {"type": "dict", "default": {}},
    "keep": {"type": "int", "default": 1},
}

TIMEOUT = 30


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    os.umask(0o022)
    module.run_command_environ_update = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
    params = module.params
    what = str(params["pin"].get("name", "pin"))
    try:
        pin = parse_pin(params["pin"], params["kind"])
        what = f"{pin.name} {pin.version}"
        wish = release.Wish(
            name=pin.name,
            version=pin.version,
            parent=Path(params["directory"]),
            digest=pin.digest,
            links=release.parse_links(params["links"], Path("/usr/local/bin")),
            keep=params["keep"],
        )
        done, diff = release.bring(wish, source_of(module, pin), release.in_use(), module.check_mode)
    except release.ReleaseError as error:
        module.fail_json(msg=f"{what}: {error}")
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


def source_of(module: AnsibleModule, pin: Pinned) -> release.Source:
    def warn(reason: str) -> None:
        module.warn(f"{pin.name} {pin.version}: {reason}")

    places = release.Places(pin.places, warn)
    if module.params["kind"] == "venv":
        return release.Venv(pin.requirements, places, module.params["python"], pin.ca_path, module.run_command)
    if module.params["kind"] == "program":
        return release.Program(places, pin.digest, opener(pin.ca_path), module.run_command)
    return release.Archive(
        places, pin.digest, module.params["strip_components"], opener(pin.ca_path), module.run_command
    )


def opener(ca_path: str) -> Callable[[str], IO[bytes]]:
    def open_address(url: str) -> IO[bytes]:
        parts = urlsplit(url)
        if parts.scheme == "file":
            return Path(unquote(parts.path)).open("rb")
        if parts.scheme not in ("http", "https"):
            raise release.ReleaseError(f"url {url} is not an http, https or file address")
        try:
            return open_url(url, timeout=TIMEOUT, ca_path=ca_path or None)
        except TlsError as error:
            raise release.ReleaseError(f"{url}: {error}") from error

    return open_address


if __name__ == "__main__":
    main()
