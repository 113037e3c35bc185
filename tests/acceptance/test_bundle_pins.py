"""Digests that no maker published, and mirrors that want a login: asked of a real registry and a real web server."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import Lock
from ansible_collections.onprem.dify.plugins.module_utils.pins import of_site, to_resolve, unresolved
from lab.runs import PROJECT
from lab.upstream import packages
from lab.upstream.files import Files
from lab.upstream.registry import Registry, noise

PINS = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((PROJECT / "bundle").glob("*.yml"))}
ASKED = {component: to_resolve(pin) for component, pin in PINS.items() if to_resolve(pin)}
USER, PASSWORD = "builder", "a-Secret-of-the-Bank"
# The line of that user, as `htpasswd -nB` prints it.
HASHED = f"{USER}:$2b$04$2uelGkwdXUQgGcLb2KPu7.5GgwCExvztS.Io8bEfhR1zTsdJwyZYO"


class Upstream:
    """What the pins name, by digest or without one, with contents of this test."""

    def __init__(self, folder: Path) -> None:
        self.files = Files(folder / "files")
        self.registry = Registry(folder / "registry")
        self.hosts = {"pypi.org"}
        # What a site must say, so that the real addresses lead to these contents.
        self.pins = {name: self._contents(name, pin) for name, pin in PINS.items()}
        for asked in ASKED.values():
            for name, tag in asked.images:
                self.push(name, tag)
            for url in asked.archives.values():
                self.put(url)

    def close(self) -> None:
        self.files.off()
        self.registry.off()

    @property
    def rules(self) -> list[dict[str, str]]:
        rules = [{"from": f"https://{host}/", "to": f"{self.files.address}/{host}/"} for host in sorted(self.hosts)]
        names = ("docker.io/", "ghcr.io/", "registry.k8s.io/")
        return rules + [{"from": name, "to": f"{self.registry.name}/{name}"} for name in names]

    def push(self, name: str, tag: str, content: str = "as published") -> str:
        layers = {one: [noise(1024, f"{name} {content} {one}")] for one in ("amd64", "arm64")}
        return self.registry.push(name, tag, layers)

    def put(self, url: str) -> dict[str, str]:
        self.hosts.add(urlsplit(url).netloc)
        data = noise(4096, url)
        self.files.put(url.removeprefix("https://"), data)
        return {"url": url, "sha256": hashlib.sha256(data).hexdigest()}

    def _contents(self, component: str, pin: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if pin.get("archives"):
            found["archives"] = {name: self.put(archive["url"]) for name, archive in pin["archives"].items()}
        if pin.get("images"):
            found["images"] = [{**one, "digest": self.push(one["name"], one["tag"])} for one in pin["images"]]
        if pin.get("requirements"):
            line, _ = packages.wheel(self.files.folder / "pypi.org/simple", component.replace("-", "_"), "1.0")
            found["requirements"] = f"{line}\n"
        return found


@dataclass
class Site:
    """Somebody with a connected machine."""

    upstream: Upstream
    home: Path
    collections: str

    def run(self, playbook: str, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
        upstream = self.upstream
        values = {"bundle_sources": upstream.rules, "bundle_ca_file": str(upstream.registry.ca_file), **more}
        (self.home / "values.json").write_text(json.dumps(values))
        return subprocess.run(
            ["ansible-playbook", f"onprem.dify.{playbook}", "-e", f"@{self.home / 'values.json'}", *words],
            cwd=self.home,
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(self.home / "ansible.cfg"),
                "ANSIBLE_COLLECTIONS_PATH": self.collections,
                "ANSIBLE_LOCALHOST_WARNING": "0",
                "HOME": str(self.home),
                "REGISTRY_AUTH_FILE": str(self.home / "auth.json"),
                "PIP_CONFIG_FILE": os.devnull,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
            check=False,
        )

    def ask(self, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return self.run("bundle_pins", *words, bundle_pins_file="pins.yml", **more)

    @property
    def file(self) -> Path:
        return self.home / "pins.yml"

    @property
    def pins(self) -> dict[str, Any]:
        return dict(yaml.safe_load(self.file.read_text())["site_pins"])

    def log_in(self) -> None:
        """As an operator does: ~/.netrc for files and wheels, `skopeo login` for images."""
        netrc = self.home / ".netrc"
        netrc.write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
        netrc.chmod(0o600)
        certificates = self.home / "certificates"
        certificates.mkdir()
        (certificates / "ca.crt").write_bytes(self.upstream.registry.ca_file.read_bytes())
        command = ["skopeo", "login", "--authfile", str(self.home / "auth.json"), "--cert-dir", str(certificates)]
        command += ["--username", USER, "--password-stdin", self.upstream.registry.name]
        subprocess.run(command, input=PASSWORD, text=True, check=True, capture_output=True)


@pytest.fixture
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    found = Upstream(tmp_path_factory.mktemp("upstream"))
    yield found
    found.close()


@pytest.fixture
def site(upstream: Upstream, installed_collections: str, tmp_path: Path) -> Site:
    (tmp_path / "ansible.cfg").touch()
    return Site(upstream, tmp_path, installed_collections)


def flat(output: str) -> str:
    """The output without the line breaks of Ansible."""
    return " ".join(output.split())


def test_all_that_has_no_digest_is_asked_for_and_written_for_review(site: Site) -> None:
    done = site.ask(bundle_architectures=["amd64", "arm64"])
    assert done.returncode == 0, done.stdout
    assert "NOT VERIFIED" in site.file.read_text()
    assert site.pins.keys() == ASKED.keys()
    assert [name for name, pin in of_site(PINS, site.pins).items() if unresolved(pin)] == []
    api = next(image for image in site.pins["dify"]["images"] if image["name"].endswith("/dify-api"))
    assert api["digest"] == site.upstream.push(api["name"], api["tag"])
    assert f"dify: {api['name']}:{api['tag']} is {api['digest']}" in flat(done.stdout)

    before = site.file.read_bytes()
    again = site.ask(bundle_architectures=["amd64", "arm64"])
    assert "changed=0" in again.stdout
    assert site.file.read_bytes() == before


def test_a_tag_that_moved_is_an_error_and_nothing_is_written(site: Site) -> None:
    assert site.ask().returncode == 0
    before, known = site.file.read_text(), site.pins["kubernetes"]["images"][0]
    other = site.upstream.push(known["name"], known["tag"], "altered")
    done = site.ask()
    assert done.returncode != 0
    wanted = f"{known['name']}:{known['tag']} is pinned to {known['digest']}, and upstream has {other} now"
    assert wanted in flat(done.stdout)
    assert site.file.read_text() == before


def test_a_file_of_somebody_else_is_not_replaced(site: Site) -> None:
    site.file.write_text("site_pins: {}\n")
    done = site.ask()
    assert done.returncode != 0
    assert "was not written by bundle_pins" in flat(done.stdout)
    assert site.file.read_text() == "site_pins: {}\n"


def test_a_mirror_that_wants_a_login_gets_it_and_nobody_else_sees_it(site: Site) -> None:
    files, registry = site.upstream.files, site.upstream.registry
    password_file = site.home / "htpasswd"
    password_file.write_text(f"{HASHED}\n")
    registry.ask_for_login(password_file)
    files.login = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    bundle = site.home / "bundle"
    wanted: dict[str, Any] = {"bundle_directory": str(bundle), "bundle_release": "2026.11.25", "bundle_systems": []}
    wanted |= {"bundle_repository_key": str(site.home / "packages-key"), "bundle_controller_pythons": ["3.11"]}

    refused = site.run("bundle", site_pins=site.upstream.pins, **wanted)
    assert refused.returncode != 0
    assert "401" in refused.stdout or "authentication required" in refused.stdout
    assert not (bundle / "lock.json").exists()

    site.log_in()
    asked = site.ask("-vvvv")
    assert asked.returncode == 0, asked.stdout
    given = {name: {**site.upstream.pins[name], **site.pins.get(name, {})} for name in PINS}
    built = site.run("bundle", "-vvvv", site_pins=given, **wanted)
    assert built.returncode == 0, built.stdout
    lock = Lock.parse((bundle / "lock.json").read_bytes())
    assert {"dify", "kubernetes"} <= {image.component for image in lock.images}
    assert {"wheel", "archive"} <= {file.kind for file in lock.files}

    secrets = [PASSWORD.encode(), base64.b64encode(f"{USER}:{PASSWORD}".encode())]
    texts = {"the output": (refused.stdout + asked.stdout + built.stdout).encode(), "pins.yml": site.file.read_bytes()}
    for folder in (bundle, site.home / "bundle.work"):
        texts |= {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert [name for name, text in texts.items() if any(secret in text for secret in secrets)] == []
