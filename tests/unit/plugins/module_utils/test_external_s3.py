"""What is said about an S3 store from the cases of the contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import external_s3 as checked
from ansible_collections.onprem.dify.plugins.module_utils.external_model import Report, Service
from ansible_collections.onprem.dify.plugins.module_utils.s3_contract import FAIL, NOT_OFFERED, PASS, QUICK, Result

DIFY, BACKUP = {"name": "dify", "secret": "s3_dify"}, {"name": "backup", "secret": "s3_backup"}
KEYS = {"s3_dify_access_key": "ACCESS", "s3_dify_secret_key": "a secret of the test"}


@pytest.fixture
def report() -> Report:
    return Report(Service("s3", "10.0.0.70", 443, ["10.0.0.70"], "corporate.pem", "certificates", 5))


def test_the_way_is_not_tried_twice() -> None:
    assert set(checked.TRIED) < set(QUICK)


def test_a_case_that_fails_is_a_finding_and_others_are_none(report: Report) -> None:
    results = [
        Result("login", PASS, "dify", 0.1),
        Result("tls-1.3", NOT_OFFERED, "waived by the site", 0.0),
        Result("wrong-key", FAIL, "a wrong key was accepted", 0.1),
    ]
    checked.judge(report, DIFY, results)
    checked.judge(report, DIFY, [Result("login", FAIL, "there is no bucket dify: 404 NoSuchBucket", 0.1)])
    assert [str(finding) for finding in report.findings] == [
        "s3 10.0.0.70:443: bucket dify is not as it should be in wrong-key (a wrong key was accepted),"
        " wanted: what `playbooks/s3_contract.yml` tries [bucket]",
        "s3 10.0.0.70:443: site_secrets.s3_dify_* is refused (there is no bucket dify: 404 NoSuchBucket),"
        " wanted: a bucket dify that these keys open [login]",
    ]


def test_every_bucket_is_tried_with_its_own_keys(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    stores: list[Any] = []

    def run(store: Any, quick: bool, waived: Any) -> list[Result]:
        stores.append((store.endpoint, store.bucket, store.keys.access, quick, waived))
        assert Path(store.ca_file).read_text(encoding="utf-8") == "certificates"
        return []

    monkeypatch.setattr(checked.s3_contract, "run", run)
    monkeypatch.setattr(checked.external_tls, "check", lambda *_args: True)
    monkeypatch.setattr(checked, "round_trip", lambda _report: None)
    checked.check(report, {"region": "eu", "buckets": [DIFY, BACKUP]}, KEYS, False)
    assert stores == [("https://10.0.0.70:443", "dify", "ACCESS", True, checked.TRIED)]
    assert [finding.variable for finding in report.findings] == [
        "site_secrets.s3_backup_access_key",
        "site_secrets.s3_backup_secret_key",
    ]
