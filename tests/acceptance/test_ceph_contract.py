"""Ceph stands in for the store of a data centre: it keeps the contract, but for the deviations that are named here."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from unit.plugins.plugin_utils.authorities import authority, leaf, pem_of

from lab import product, scratch
from lab.runs import Run

s3, s3_contract = product.module_utils("s3"), product.module_utils("s3_contract")
site_secrets = product.module_utils("site_secrets")

NETWORK = "85"
ADDRESS = f"10.{NETWORK}.3.11"
# The data centre's machine is in no group of services.
TREE = {
    "app": {"children": {"workers": {"hosts": {"worker1": {"ansible_host": f"10.{NETWORK}.2.21"}}}}},
    "data": {"hosts": {"store1": {"ansible_host": ADDRESS, "lab_disk": "6G"}}, "children": {}},
}
BUCKETS = [
    {"name": "dify", "secret": "s3_dify", "versioning": True, "noncurrent_days": 30, "upload_days": 7},
    {"name": "dify-plugin", "secret": "s3_dify_plugin", "upload_days": 7},
    {"name": "backup", "secret": "s3_backup", "versioning": True, "noncurrent_days": 30, "upload_days": 7},
    {"name": "records", "user": "dify", "secret": "s3_dify", "object_lock": True},
]
# Pages of a list have 1000 keys.
KEYS = 3500
DEVIATIONS = {
    # Ceph 18 cuts the checksum off and compares nothing. TLS guards the way, and the hash that a request is signed with
    # is compared: test_a_body_that_is_not_the_one_that_was_signed_is_refused.
    "checksum-verified",
}


class DataCentre:
    def __init__(self, site: scratch.Site) -> None:
        self.site = site
        variables = scratch.load(site.inventory / "group_vars/all/store.yml")
        self.ca: str = variables["external_s3"]["ca_file"]
        keys = [variables["site_secrets"][f"s3_dify_{part}_key"] for part in ("access", "secret")]
        self.dify = s3.Client(f"https://{ADDRESS}", s3.Keys(*keys), ca_file=self.ca)

    def prepare(self, certificate: bytes) -> None:
        run = self.site.play("tests/acceptance/ceph.yml", extra_vars={"test_certificate": certificate.decode()})
        assert run.status == "successful", run.failures

    def check(self, **variables: Any) -> Run:
        return self.site.play("playbooks/external.yml", extra_vars=variables)

    def contract(self) -> tuple[Run, list[dict[str, Any]]]:
        """The run, and the results as its evidence has them."""
        report = self.site.folder / "s3-contract.json"
        report.unlink(missing_ok=True)
        variables = {"objects_contract_keys": KEYS, "objects_contract_report": str(report)}
        run = self.site.play("playbooks/s3_contract.yml", extra_vars=variables)
        return run, json.loads(report.read_text(encoding="utf-8"))

    def left(self, bucket: str, what: str) -> list[str]:
        """Keys of the versions, or the uploads, of a bucket."""
        answer = self.dify.request("GET", bucket, query=[(what, "")])
        assert answer.good, answer
        keys: list[str] = s3.texts(answer.body, "Key")
        return keys


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataCentre]:
    now = datetime.datetime.now(datetime.UTC)
    times = {"begin": now - datetime.timedelta(hours=1), "end": now + datetime.timedelta(days=2)}
    root = authority("data centre", **times)
    gateway = leaf(root, [ADDRESS], **times)
    ca = tmp_path_factory.mktemp("authorities") / "ca.crt"
    ca.write_bytes(root.pem)

    folder = scratch.copy_of_example(tmp_path_factory.mktemp("ceph"), "ceph", NETWORK, tree=TREE)
    services = scratch.load(folder / "group_vars/all/site.yml")["site_services"]
    given = {
        "site_services": {**services, "s3": [ADDRESS]},
        "site_secrets": site_secrets.complete({}, {}, ["s3"]),
        "external_s3": {"ca_file": str(ca)},
        "objects_buckets": BUCKETS,
        "objects_contract_lock_bucket": "records",
    }
    scratch.dump(folder / "group_vars/all/store.yml", given)
    with scratch.running(folder) as site:
        centre = DataCentre(site)
        centre.prepare(gateway.pem + pem_of(gateway.key))
        yield centre


def test_the_store_is_taken_as_a_service_of_the_site(centre: DataCentre) -> None:
    run = centre.check(external_require_tls13=True)
    assert (run.status, run.changed) == ("successful", set()), run.failures


def test_keys_that_open_another_bucket_and_a_bucket_that_is_missing_are_found(centre: DataCentre) -> None:
    buckets = [{"name": "dify", "secret": "s3_backup"}, {"name": "forgotten", "secret": "s3_dify"}]
    [failure] = centre.check(external_s3={"ca_file": centre.ca, "buckets": buckets}).failures
    assert failure.message.startswith("2 findings")
    assert "the keys were refused for bucket dify: 403 AccessDenied" in failure.message
    assert "there is no bucket forgotten: 404 NoSuchBucket" in failure.message


def test_the_contract_is_kept_and_its_deviations_are_those_that_are_known(centre: DataCentre) -> None:
    run, results = centre.contract()
    print(json.dumps(results, indent=1))
    assert run.status == "successful", run.failures
    found = {result["case"]: result["result"] for result in results}
    assert {case for case, result in found.items() if result == s3_contract.DEVIATION} == DEVIATIONS
    assert {case for case, result in found.items() if result == s3_contract.PASS} == set(s3_contract.FULL) - DEVIATIONS


def test_the_contract_leaves_nothing_behind(centre: DataCentre) -> None:
    for bucket in ("dify", "records"):
        assert (centre.left(bucket, "versions"), centre.left(bucket, "uploads")) == ([], [])


def test_a_body_that_is_not_the_one_that_was_signed_is_refused(centre: DataCentre) -> None:
    signed = hashlib.sha256(b"signed").hexdigest()
    answer = centre.dify.request("PUT", "dify", "changed", body=b"change", payload=signed)
    assert (answer.status, answer.code) == (400, "XAmzContentSHA256Mismatch")
    assert centre.left("dify", "versions") == []
