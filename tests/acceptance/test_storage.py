"""A small site that keeps plugins on the disk of its worker: what is in S3, and what stays when uploads leave it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from acceptance.clients import WRITES, Clients

from lab import scratch

NETWORK = "86"
WORKER = {"hosts": {"worker1": {"ansible_host": f"10.{NETWORK}.2.21"}}}
TREE: dict[str, Any] = {
    "app": {"children": {"control_plane": WORKER, "workers": WORKER}},
    "data": {"children": {"objects": {"hosts": {"store1": {"ansible_host": f"10.{NETWORK}.3.11"}}}}},
}
STORAGE = {"site_storage_uploads": "s3", "site_storage_plugins": "local", "site_storage_backups": "local"}


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


def test_only_what_is_kept_in_s3_has_a_bucket_and_a_user(site: scratch.Site) -> None:
    run = site.play()
    assert run.status == "successful", run.failures
    again = site.play()
    assert (again.status, again.changed) == ("successful", set()), again.failures
    assert users(site) == ["dify"]
    shell = f"sudo weed -config_dir=/etc/seaweedfs shell -master=10.{NETWORK}.3.11:9333"
    listed = site.ssh("store1", f"echo s3.bucket.list | {shell}")
    assert [line.split()[0] for line in listed.stdout.splitlines() if line.startswith("  ")] == ["dify"], listed.stdout


def test_objects_and_their_user_stay_when_uploads_leave_s3(site: scratch.Site) -> None:
    clients = Clients(site)
    clients.words.append("kept")
    clients.run("s3", WRITES["s3"], word="kept")
    run = site.play("playbooks/data.yml", extra_vars={"site_storage_uploads": "local"})
    assert (run.status, run.changed) == ("successful", set()), run.failures
    assert clients.read("s3") == ["kept"]


def test_a_store_without_users_is_refused_as_it_would_let_everybody_in(site: scratch.Site) -> None:
    unused = {"site_storage_uploads": "local", "objects_retire_keys": True}
    run = site.play("playbooks/data.yml", extra_vars=unused)
    assert run.status == "failed"
    assert "objects_buckets: found no bucket that the site uses" in run.failures[0].message
    assert users(site) == ["dify"]
