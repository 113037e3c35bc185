"""A hardened site whose hosts know nothing but the mirror: what they install, what they pull, what they may not."""

from __future__ import annotations

import json
import socket

import pytest

from lab.network import CACHE_PORT

TEST_HOST = "worker1"


def test_what_the_bundle_was_built_from_is_gone(site, upstream):
    for address, port in upstream:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((address, port), timeout=5)
    assert site.run(TEST_HOST, f"timeout 5 bash -c '</dev/tcp/{site.lab.bridge_address}/{CACHE_PORT}'").returncode != 0


def test_the_dry_run_of_what_stands_finds_nothing_to_do(site):
    run = site.play("molecule/mirror/converge.yml", check=True)
    assert run.status == "successful", run.failures
    assert run.changed == set()


def test_packages_come_from_the_mirrors_and_from_nowhere_else(site, addresses):
    known = site.root(TEST_HOST, "apt-get indextargets --format '$(SITE)' | sort -u")
    places = site.root(TEST_HOST, f"grep --invert-match '^#' {known.removeprefix('mirror+file:')}").split()
    assert places == [f"https://{address}/packages/Debian_12" for address in addresses]
    assert "Hello, world!" in site.root(TEST_HOST, "hello")


def test_a_mirror_installs_from_its_own_disk(site):
    assert site.root("ops1", "apt-get indextargets --format '$(REPO_URI)' | sort -u").startswith(
        "file:/srv/onprem-dify/mirror/current/packages/"
    )


@pytest.mark.parametrize("number", [0, 1])
def test_every_image_of_the_lock_can_be_pulled_from_each_mirror(site, addresses, lock, number):
    for image in lock["images"]:
        for tag in (False, True):
            done = site.pull(TEST_HOST, addresses[number], image, tag)
            assert done.returncode == 0, done.stderr
            layers = {layer["digest"] for layer in json.loads(done.stdout)["layers"]}
            assert layers <= {blob["digest"] for blob in image["blobs"]}


def test_without_the_authority_of_the_site_nothing_is_pulled(site, addresses):
    refused = site.run(TEST_HOST, f"curl --silent --show-error https://{addresses[0]}:5000/v2/")
    assert refused.returncode == 60, refused.stderr


def test_the_second_mirror_has_the_registry_of_the_bundle(site, lock):
    version = next(file["version"] for file in lock["files"] if file["component"] == "distribution")
    running = "readlink /proc/$(systemctl show --property MainPID --value onprem-dify-registry)/exe"
    assert site.root("ops2", running) == f"/opt/onprem-dify/distribution-{version}/registry"
    assert site.root("ops2", "registry --version").endswith(f" {version}")
    assert site.run("ops2", "dpkg --status docker-registry").returncode != 0
    assert site.root("ops1", running) == "/usr/bin/docker-registry"


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", [":5000/v2/registry.k8s.io/pause/blobs/uploads/", ":443/packages/Debian_12/x"])
def test_nobody_writes_to_the_mirror(site, addresses, method, path):
    assert site.ask(TEST_HOST, f"https://{addresses[0]}{path}", "--request", method) in ("403", "405")


@pytest.mark.parametrize("mirror", ["ops1", "ops2"])
def test_not_even_root_writes_through_the_registry(site, mirror):
    answer = site.root(
        mirror,
        "curl --silent --output /dev/null --write-out '%{http_code}' --request POST --unix-socket"
        " /run/onprem-dify-registry/registry.sock http://x/v2/registry.k8s.io/pause/blobs/uploads/",
    )
    assert answer == "405"


@pytest.mark.parametrize("port", [443, 5000])
def test_tls_below_1_3_is_refused(site, addresses, port):
    asked = f"openssl s_client -connect {addresses[0]}:{port} -CAfile /etc/onprem-dify/mirror/ca.crt </dev/null 2>&1"
    assert "TLSv1.3, Cipher is" in site.root(TEST_HOST, asked)
    assert "alert protocol version" in site.run(TEST_HOST, asked.replace("-connect", "-tls1_2 -connect")).stdout


@pytest.mark.parametrize("path", ["registry/docker/registry/v2/", "../blobs/sha256/", "incoming/", "sbom.cdx.json", ""])
def test_only_the_folders_of_a_release_are_served(site, addresses, path):
    assert site.ask(TEST_HOST, f"https://{addresses[0]}/{path}", "--path-as-is") in ("400", "404")


def test_pip_installs_from_the_mirror(site, lock):
    bundled = next(file["version"] for file in lock["files"] if "/jmespath-" in file["path"])
    site.root(TEST_HOST, "rm -rf /root/pip && pip install --quiet --no-cache-dir --target /root/pip jmespath")
    version = "import jmespath; print(jmespath.__version__)"
    assert site.root(TEST_HOST, f"PYTHONPATH=/root/pip python3 -c '{version}'") == bundled


def test_a_program_came_from_its_archive_on_the_mirror(site):
    assert site.root(TEST_HOST, "etcd") == "etcd of the bundle"


def test_a_mirror_has_no_ports_but_its_own(site):
    ports = site.root(
        "ops1", "ss --listening --tcp --numeric --no-header | awk '{print $4}' | sed 's/.*://' | sort -un"
    )
    assert ports.split() == ["22", "443", "5000"]


def test_the_mirrors_serve_the_release_of_the_lock(site, lock):
    for host in ("ops1", "ops2"):
        assert site.served(host).startswith(lock["release"])
        assert site.serves(host) == lock


def test_each_blob_stands_on_the_disk_once(site, lock):
    blobs = {file["digest"]: file["size"] for file in lock["files"]}
    for image in lock["images"]:
        blobs |= {image["digest"]: image["size"], **{blob["digest"]: blob["size"] for blob in image["blobs"]}}
    used = int(site.root("ops1", "du --summarize --block-size=1 --apparent-size /srv/onprem-dify/mirror").split()[0])
    assert sum(blobs.values()) < used < sum(blobs.values()) * 1.1


def test_every_control_of_the_mirror_is_fulfilled(site, tmp_path):
    subjects = {"verify_subjects": ["mirror"], "verify_report_dir": str(tmp_path)}
    run = site.play("playbooks/verify.yml", extra_vars=subjects)
    assert run.status == "successful", run.failures
