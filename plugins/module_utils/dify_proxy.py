# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proxies through which what users and agents write reaches out: to the site's models, and nowhere else.

No Ansible, no I/O.
"""

from __future__ import annotations

from typing import Dict, List
from urllib.parse import urlsplit

from ansible_collections.onprem.dify.plugins.module_utils import dify_flows
from ansible_collections.onprem.dify.plugins.module_utils.dify_build import Build

# Never, whoever allows it: the host itself, metadata services of clouds, groups.
NEVER = ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "::/128", "::1/128", "fe80::/10")


def configuration(build: Build, kind: str) -> str:
    """The configuration of Squid: `requests` of users' apps, or of `agents`."""
    rules = _requests(build) if kind == "requests" else _agents(build)
    lines = [
        f"http_port {build.release['services'][_name(build, kind)]['port']}",
        f"acl clients src {build.site['pod_network']}",
        *(f"acl never dst {network}" for network in NEVER),
        "acl CONNECT method CONNECT",
        "http_access deny !clients",
        *rules,
        "http_access deny all",
        # Names of the cluster are short.
        "dns_defnames on",
        "cache deny all",
        "cache_mem 16 MB",
        "pid_filename none",
        "coredump_dir /tmp",
        "access_log stdio:/dev/stdout",
        "cache_log /dev/stderr",
        "logfile_rotate 0",
        "max_filedescriptors 4096",
        "shutdown_lifetime 5 seconds",
        "forwarded_for delete",
        "httpd_suppress_version_string on",
    ]
    return "".join(f"{line}\n" for line in lines)


def _name(build: Build, kind: str) -> str:
    return next(name for name, service in build.services.items() if service.get("proxy") == kind)


def _requests(build: Build) -> List[str]:
    lines = ["http_access deny never"]
    for number, way in enumerate(dify_flows.out(build.site, build.given, "models"), start=1):
        lines += [f"acl model{number} dst {address}" for address in way.addresses]
        lines += [f"acl model{number}_port port {way.port}", f"http_access allow model{number} model{number}_port"]
    return lines


def _agents(build: Build) -> List[str]:
    """Only files by their signed addresses, and the stub; both are plain HTTP, so that the path can be seen."""
    paths: Dict[str, str] = {"api": "^/files/", "agent-backend": "^/agent-stub/"}
    lines = ["http_access deny CONNECT"]
    for service, path in paths.items():
        place = urlsplit(str(build.facts[f"service.{service}"]))
        name = service.replace("-", "_")
        lines += [
            f"acl {name} dstdomain -n {place.hostname}",
            f"acl {name}_port port {place.port}",
            f"acl {name}_path urlpath_regex {path}",
            f"http_access allow {name} {name}_port {name}_path",
        ]
    return lines
