"""A small site that keeps plugins on the disk of its worker: what is in S3, and what stays when uploads leave it."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from acceptance.faults import secret

from lab import scratch, ssh

NETWORK = "86"
WORKER = {"hosts": {"worker1": {"ansible_host": f"10.{NETWORK}.2.21"}}}
TREE: dict[str, Any] = {
    "app": {"children": {"control_plane": WORKER, "workers": WORKER}},
    "data": {"children": {"objects": {"hosts": {"store1": {"ansible_host": f"10.{NETWORK}.3.11"}}}}},
}
STORAGE = {"site_storage_uploads": "s3", "site_storage_plugins": "local", "site_storage_backups": "local"}
# As docs/files.md says it.
RCLONE = f"""set -e; umask 022; cd /mnt; chown 1001:1001 .
export RCLONE_CONFIG_S3_TYPE=s3 RCLONE_CONFIG_S3_PROVIDER=Other RCLONE_CONFIG_S3_ENDPOINT=https://10.{NETWORK}.3.16:8333
export RCLONE_CONFIG_S3_ACCESS_KEY_ID=%s RCLONE_CONFIG_S3_SECRET_ACCESS_KEY=%s RCLONE_CONFIG_S3_NO_CHECK_BUCKET=true
rclone="setpriv --reuid=1001 --regid=1001 --clear-groups rclone --config= --ca-cert=/tmp/root.crt"
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[scratch.Site]:
    folder = scratch.copy_of_example(tmp_path_factory.mktemp("storage") / "site", "storage", NETWORK, tree=TREE)
    path = folder / "group_vars/all/site.yml"
    scratch.dump(path, {**scratch.load(path), **STORAGE})
    with scratch.running(folder) as site:
        yield site


def users(site: scratch.Site) -> list[str]:
    done = site.ssh("store1", "sudo cat /etc/seaweedfs/s3.json")
    assert done.returncode == 0, done.stderr
    return [user["name"] for user in json.loads(done.stdout)["identities"]]


def on_worker(site: scratch.Site, script: str) -> str:
    keys = [secret(site, f"s3_dify_{part}_key") for part in ("access", "secret")]
    login = ssh.command(site.lab, site.lab.host("worker1"), "sudo sh -s")
    script = RCLONE % tuple(keys) + script
    done = subprocess.run(login, input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_only_what_is_kept_in_s3_has_a_bucket_and_a_user(site: scratch.Site) -> None:
    run = site.play()
    assert run.status == "successful", run.failures
    again = site.play()
    assert (again.status, again.changed) == ("successful", set()), again.failures
    assert users(site) == ["dify"]
    shell = f"sudo weed -config_dir=/etc/seaweedfs shell -master=10.{NETWORK}.3.11:9333"
    listed = site.ssh("store1", f"echo s3.bucket.list | {shell}")
    assert [line.split()[0] for line in listed.stdout.splitlines() if line.startswith("  ")] == ["dify"], listed.stdout


def test_objects_and_their_user_stay_when_uploads_leave_s3_and_can_be_copied(site: scratch.Site) -> None:
    authority = (site.lab.state / "pki/root.crt").read_text(encoding="utf-8")
    on_worker(
        site,
        "apt-get install -qq -y --no-install-recommends rclone > /dev/null\n"
        f"echo {shlex.quote(authority)} > /tmp/root.crt\n"
        "mkdir -p old/privkeys/one && echo 'a key of a tenant' > old/privkeys/one/private.pem\n"
        "$rclone copy old s3:dify",
    )
    run = site.play("playbooks/data.yml", extra_vars={"site_storage_uploads": "local"})
    assert (run.status, run.changed) == ("successful", set()), run.failures
    on_worker(site, "$rclone copy s3:dify new\n$rclone check s3:dify new")
    assert on_worker(site, "cat new/privkeys/one/private.pem") == "a key of a tenant\n"


def test_a_store_without_users_is_refused_as_it_would_let_everybody_in(site: scratch.Site) -> None:
    unused = {"site_storage_uploads": "local", "objects_retire_keys": True}
    run = site.play("playbooks/data.yml", extra_vars=unused)
    assert run.status == "failed"
    assert "objects_buckets: found no bucket that the site uses" in run.failures[0].message
    assert users(site) == ["dify"]
