# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nginx behind the one port of a tenant, which leads each path to its service. No Ansible, no I/O."""

from __future__ import annotations

from typing import Any, List, Mapping

from ansible_collections.onprem.dify.plugins.module_utils import dify_limits
from ansible_collections.onprem.dify.plugins.module_utils.dify_build import Build
from ansible_collections.onprem.dify.plugins.module_utils.dify_pods import TLS_FOLDER
from ansible_collections.onprem.dify.plugins.module_utils.dify_release import ROUTER_PORT


def configuration(build: Build) -> str:
    settings = build.settings["api"]
    lines = [
        "worker_processes 1;",
        "pid /tmp/nginx.pid;",
        "error_log /dev/stderr warn;",
        "events { worker_connections 2048; }",
        "http {",
        *(f"  {kind}_temp_path /tmp/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")),
        "  access_log /dev/stdout;",
        "  server_tokens off;",
        "  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }",
        "  ssl_protocols TLSv1.3;",
        f"  ssl_certificate {TLS_FOLDER}/tls.crt;",
        f"  ssl_certificate_key {TLS_FOLDER}/tls.key;",
        # Who asks for another host name is at the wrong tenant.
        f"  server {{ listen {ROUTER_PORT} ssl default_server; return 421; }}",
        "  server {",
        f"    listen {ROUTER_PORT} ssl;",
        f"    server_name {build.tenant['hostname']};",
        f"    client_max_body_size {dify_limits.body_megabytes(settings)}m;",
        "    proxy_http_version 1.1;",
        "    proxy_buffering off;",
        f"    proxy_read_timeout {dify_limits.read_seconds(settings)}s;",
        "    proxy_set_header Host $host;",
        "    proxy_set_header X-Forwarded-Proto https;",
        "    proxy_set_header X-Forwarded-Host $host;",
        "    proxy_set_header X-Forwarded-Port 443;",
        "    proxy_set_header X-Forwarded-For $http_x_forwarded_for;",
        "    proxy_set_header Upgrade $http_upgrade;",
        "    proxy_set_header Connection $connection_upgrade;",
        *(f"    {line}" for route in build.release["paths"] for line in _location(build, route)),
        "  }",
        "}",
    ]
    return "".join(f"{line}\n" for line in lines)


def _location(build: Build, route: Mapping[str, Any]) -> List[str]:
    if route.get("closed"):
        return [f"location {route['path']} {{ return 404; }}"]
    lines = [f"location {route['path']} {{", f"  proxy_pass {build.facts['service.' + route['to']]};"]
    if route.get("hook"):
        # A location with headers of its own has no others.
        lines += [
            "  proxy_set_header Host $host;",
            "  proxy_set_header X-Forwarded-Proto https;",
            "  proxy_set_header X-Forwarded-For $http_x_forwarded_for;",
            "  proxy_set_header Dify-Hook-Url https://$host$request_uri;",
        ]
    return [*lines, "}"]
