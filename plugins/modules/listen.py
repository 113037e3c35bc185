#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: listen
short_description: Listen for a while on ports that nothing listens on
version_added: 0.1.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Starts a transient systemd unit without privileges that accepts TCP connections and answers UDP packets, so that
    M(onprem.dify.probe) has something to talk to where a service is not there yet. It stops by itself.
  - Ports that a service holds are left alone.
options:
  address:
    description: Address of the host to listen on. A service may hold the same port of another one.
    type: str
    default: 0.0.0.0
  ports:
    description: Ports to listen on, like V(tcp/5432). Required with O(state=present).
    type: list
    elements: str
    default: []
  seconds:
    description: Time after which the listeners stop by themselves.
    type: int
    default: 120
  state:
    description: Whether the listeners run.
    type: str
    choices: [present, absent]
    default: present
attributes:
  check_mode:
    description: Predicts the change.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
  platform:
    description: systemd.
    platforms: linux
    support: full
"""

EXAMPLES = r"""
- name: Listen on what the flows need
  onprem.dify.listen:
    ports: [tcp/5432, udp/8472]
    seconds: 60

- name: Stop listening
  onprem.dify.listen:
    state: absent
"""

RETURN = r"""
occupied:
  description: Ports that another process holds.
  returned: always
  type: list
  elements: str
"""

import errno
import socket
import sys
from typing import List

from ansible.module_utils.basic import AnsibleModule

UNIT = "onprem-dify-listen.service"
EVERY = "0.0.0.0"

# Runs as the unit: greets systemd when all ports are bound, then answers.
ECHO = """
import os, selectors, socket, sys
selector = selectors.DefaultSelector()
for protocol, port in (word.split("/") for word in sys.argv[2:]):
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1 if protocol == "tcp" else 0)
    try:
        sock.bind((sys.argv[1], int(port)))
    except OSError as error:
        print(protocol, port, error, flush=True)
        continue
    if protocol == "tcp":
        sock.listen(128)
    sock.setblocking(False)
    selector.register(sock, selectors.EVENT_READ, protocol)
notify = os.environ.get("NOTIFY_SOCKET", "")
if notify:
    address = "\\0" + notify[1:] if notify[0] == "@" else notify
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", address)
while True:
    for key, _events in selector.select():
        try:
            if key.data == "tcp":
                key.fileobj.accept()[0].close()
            else:
                key.fileobj.sendto(*key.fileobj.recvfrom(64))
        except OSError as error:
            print(error, flush=True)
"""


def is_occupied(address: str, port: str) -> bool:
    protocol, _slash, number = port.partition("/")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM) as sock:
        if protocol == "tcp":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((address, int(number)))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
            raise
    return False


def command(ports: List[str], seconds: int, address: str = EVERY) -> List[str]:
    properties = [
        "DynamicUser=yes",
        "AmbientCapabilities=CAP_NET_BIND_SERVICE",
        "CapabilityBoundingSet=CAP_NET_BIND_SERVICE",
        f"RuntimeMaxSec={seconds}",
    ]
    return [
        "systemd-run",
        "--quiet",
        "--collect",
        "--service-type=notify",
        f"--unit={UNIT}",
        "--description=Listeners for the probe of the flows",
        *(f"--property={line}" for line in properties),
        sys.executable,
        "-c",
        ECHO,
        address,
        *ports,
    ]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "default": EVERY},
            "ports": {"type": "list", "elements": "str", "default": []},
            "seconds": {"type": "int", "default": 120},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    present = module.params["state"] == "present"
    running = module.run_command(["systemctl", "is-active", "--quiet", UNIT])[0] == 0
    if module.check_mode or not (present or running):
        module.exit_json(changed=present != running, occupied=[])
    if running:
        module.run_command(["systemctl", "stop", UNIT], check_rc=True)
    if not present:
        module.exit_json(changed=True, occupied=[])
    # A unit of an earlier probe that reached its end would keep its name.
    module.run_command(["systemctl", "reset-failed", UNIT])
    address = module.params["address"]
    occupied = [port for port in module.params["ports"] if is_occupied(address, port)]
    free = [port for port in module.params["ports"] if port not in occupied]
    module.run_command(command(free, module.params["seconds"], address), check_rc=True)
    module.exit_json(changed=True, occupied=occupied)


if __name__ == "__main__":
    main()
