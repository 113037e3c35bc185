"""The package cache that stands in for the site's mirror: nginx on the bridge address, a child of the lab.

Files whose names never change their content are stored in one folder that all labs share; what names the newest
versions is kept by each lab for itself, so that a site sees one state of the archive from its first run to its last.
"""

from __future__ import annotations

import socket
from pathlib import Path

from .cgroups import Members
from .network import CACHE_PORT
from .sources import Mirror, of_this_machine
from .system import wait_until
from .topology import SERVED, Lab

MEMBER = "_packages"
PROGRAM = "/usr/sbin/nginx"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
FRAME = """\
user root;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
worker_processes 2;
events {{ worker_connections 512; }}
http {{
  access_log off;
  sendfile on;
  default_type application/octet-stream;
  client_body_temp_path {folder}/body;
  proxy_temp_path {cache}/.part;
  proxy_cache_path {folder}/indexes keys_zone=indexes:1m inactive=1d max_size=1g use_temp_path=off;
  proxy_http_version 1.1;
  proxy_ssl_server_name on;
  proxy_ssl_verify on;
  proxy_ssl_verify_depth 4;
  proxy_ssl_trusted_certificate {certificates};
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen {address}:{port};
    location / {{ return 403; }}
    # pip reads the listing of a folder of wheels.
    location /{served}/ {{ alias {served_folder}/; autoindex on; }}
{archives}  }}
}}
"""
ARCHIVE = """\
    location ~ ^/{name}/(pool/|dists/.*/by-hash/) {{
      root {cache};
      error_page 404 = @{name};
    }}
    location @{name} {{
      set $stored $uri;
      rewrite ^/{name}/(.*)$ {path}/$1 break;
      proxy_pass {origin};
      proxy_store {cache}$stored;
      proxy_store_access user:rw group:r all:r;
    }}
    location /{name}/dists/ {{
      proxy_pass {origin}{path}/dists/;
      proxy_cache indexes;
      proxy_cache_lock on;
      proxy_cache_valid 200 404 4h;
    }}
"""


def configuration(lab: Lab, mirror: Mirror, folder: Path) -> str:
    """Serve the machine's mirror under stable paths, and nothing else: a node must find no way out here."""
    cache = lab.cache / "packages"
    archives = ""
    for name, uri in (("debian", mirror.archive), ("debian-security", mirror.security)):
        if uri:
            scheme, _, rest = uri.partition("://")
            host, slash, path = rest.partition("/")
            archives += ARCHIVE.format(name=name, cache=cache, origin=f"{scheme}://{host}", path=slash + path)
    return FRAME.format(
        folder=folder,
        cache=cache,
        certificates=CERTIFICATES,
        address=lab.bridge_address,
        port=CACHE_PORT,
        served=SERVED,
        served_folder=lab.served,
        archives=archives,
    )


def up(lab: Lab, members: Members) -> None:
    if members.running(MEMBER):
        return
    folder = lab.state / "packages"
    folder.mkdir(parents=True, exist_ok=True)
    (lab.cache / "packages").mkdir(parents=True, exist_ok=True)
    settings = folder / "nginx.conf"
    settings.write_text(configuration(lab, of_this_machine(), folder), encoding="utf-8")
    command = [PROGRAM, "-c", str(settings), "-e", str(folder / "error.log")]
    members.start(MEMBER, command, {}, lab.state / "packages.log")
    wait_until(lambda: answers(lab), 10, f"package cache (see {lab.state}/packages.log)")


def down(members: Members) -> None:
    members.terminate(MEMBER)


def answers(lab: Lab) -> bool:
    try:
        socket.create_connection((lab.bridge_address, CACHE_PORT), timeout=1).close()
    except OSError:
        return False
    return True
