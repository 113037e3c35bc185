# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the S3 store that a site gives do what Dify needs? The short form of the contract, for each bucket."""

from __future__ import annotations

import tempfile
import time
from typing import Any, Iterable, List, Mapping

from ansible_collections.onprem.dify.plugins.module_utils import external_tls, s3, s3_contract
from ansible_collections.onprem.dify.plugins.module_utils.external_model import Report

# The way to the store has been tried before.
TRIED = ("tls-1.3", "tls-1.2-refused", "unknown-ca-refused")


def check(report: Report, wish: Mapping[str, Any], passwords: Mapping[str, str], require_tls13: bool) -> None:
    service = report.service
    way = external_tls.check(report, external_tls.at_once, require_tls13)
    # The client of the contract reads authorities from a file.
    with tempfile.NamedTemporaryFile("w", suffix=".crt", encoding="utf-8") as authorities:
        authorities.write(service.ca or "")
        authorities.flush()
        for bucket in wish["buckets"]:
            access, secret = (
                report.password(passwords, f"{bucket['secret']}_{part}_key") for part in ("access", "secret")
            )
            if not way or not access or not secret:
                continue
            store = s3_contract.Store(
                endpoint=f"https://{service.host}:{service.port}",
                keys=s3.Keys(access, secret),
                bucket=bucket["name"],
                ca_file=authorities.name if service.ca else "",
                region=wish["region"],
                timeout=service.timeout,
            )
            judge(report, bucket, s3_contract.run(store, quick=True, waived=TRIED))
    if way:
        round_trip(report)


def judge(report: Report, bucket: Mapping[str, Any], results: Iterable[s3_contract.Result]) -> None:
    for result in results:
        if result.result != s3_contract.FAIL:
            continue
        if result.case == "login":
            variable, wanted = f"site_secrets.{bucket['secret']}_*", f"a bucket {bucket['name']} that these keys open"
            report.finding("login", variable, f"refused ({result.detail})", wanted)
        else:
            found = f"not as it should be in {result.case} ({result.detail})"
            report.finding("bucket", f"bucket {bucket['name']}", found, "what `playbooks/s3_contract.yml` tries")


def round_trip(report: Report) -> None:
    service = report.service
    seconds: List[float] = []
    client = s3.Client(
        f"https://{service.host}:{service.port}", None, timeout=service.timeout, context=external_tls.context(service)
    )
    try:
        client.connect()
        for _question in range(3):
            started = time.monotonic()
            client.fetch("/", "HEAD")
            seconds.append(time.monotonic() - started)
    except (OSError, s3.S3Error):
        return  # said by the contract
    finally:
        client.close()
    report.round_trip(seconds)
