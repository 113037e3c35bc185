"""A site with a mirror, and what its hosts get from it."""

from __future__ import annotations

import json
import shlex
import subprocess
from typing import Any

from . import scratch, ssh

CA_FILE = "/etc/onprem-dify/mirror/ca.crt"
ROOT = "/srv/onprem-dify/mirror"


class Site(scratch.Site):
    """The lab, with root on its hosts."""

    def run(self, host: str, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script as root, over one login that is kept."""
        words = ssh.command(self.lab, self.lab.host(host), f"sudo bash -c {shlex.quote(script)}", batch=True)
        words[1:1] = ["-oControlMaster=auto", f"-oControlPath={self.lab.state}/%h", "-oControlPersist=60"]
        return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    def root(self, host: str, script: str) -> str:
        done = self.run(host, script)
        assert done.returncode == 0, f"{host}: {script}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def ask(self, host: str, url: str, *options: str) -> str:
        """The status that a request from a host gets."""
        words = ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--cacert", CA_FILE]
        return self.root(host, shlex.join([*words, *options, url]))

    def pull(
        self, host: str, address: str, image: dict[str, Any], tag: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Pull an image as the container runtime does it: over TLS, with the site's authority, every byte checked."""
        reference = f":{image['tag']}" if tag else f"@{image['digest']}"
        source = f"docker://{address}:5000/{image['name']}{reference}"
        script = (
            f"d=$(mktemp -d); trap 'rm -rf $d' EXIT; mkdir $d/certs; cp {CA_FILE} $d/certs/ca.crt; "
            f"skopeo --insecure-policy copy --quiet --src-cert-dir $d/certs {source} dir:$d/image && "
            "cat $d/image/manifest.json"
        )
        return self.run(host, script)

    def served(self, host: str) -> str:
        return self.root(host, f"basename $(readlink {ROOT}/current) || true")

    def serves(self, host: str) -> dict[str, Any]:
        """The lock of the release that a mirror serves."""
        content: dict[str, Any] = json.loads(self.root(host, f"cat {ROOT}/current/lock.json"))
        return content
