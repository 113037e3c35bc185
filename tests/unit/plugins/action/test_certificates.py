"""The controller's half of certificates, with a host that is a folder of this machine."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from unit.plugins.plugin_utils.authorities import NOW, PASSPHRASE, authority, days, write_authority

from ansible_collections.onprem.dify.plugins.action import certificates as action
from ansible_collections.onprem.dify.plugins.module_utils import certificates as core
from ansible_collections.onprem.dify.plugins.module_utils.certificates import CertificateError
from ansible_collections.onprem.dify.plugins.modules import certificate_files

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("openssl"), reason="files of root, and the program openssl"
)
ROOT = authority("root")


class Site:
    def __init__(self, folder: Path) -> None:
        self.pki, self.host, self.metric = folder / "ca", folder / "host", folder / "metric" / "certificates.prom"
        self.pki.mkdir()
        write_authority(self.pki, ROOT, authority("issuing 1", ROOT))
        self.stages: list[str] = []
        self.openssl = True

    def wish(self, name: str = "redis", **changes: Any) -> dict[str, Any]:
        return {"name": name, "directory": str(self.host / name), "names": ["db1"], **changes}

    def run(
        self,
        *wishes: dict[str, Any],
        check: bool = False,
        now: datetime.datetime = NOW,
        passphrase: str = PASSPHRASE,
        killed_before: str = "",
    ) -> dict[str, Any]:
        """One run of the task. Without wishes, of everything that is known."""
        settings = {"mode": "internal", "directory": str(self.pki), "certificate_days": 90, "renew_days": 0}
        args: dict[str, Any] = {"authority": settings, "passphrase": passphrase}
        if wishes:
            args["certificates"] = list(wishes)

        def execute(module_name: str, module_args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
            stage = module_args["stage"]
            if stage == killed_before:
                raise KeyboardInterrupt
            self.stages.append(stage)
            return self._module(module_args)

        plugin = action.ActionModule.__new__(action.ActionModule)
        plugin._task = SimpleNamespace(args=args, check_mode=check)
        plugin._host, plugin._task_vars, plugin._execute_module = "db1", {}, execute
        self.stages.clear()
        return plugin._provide(now)

    def _module(self, args: dict[str, Any]) -> dict[str, Any]:
        blank = {"common_name": "", "authority": "", "certificate": "", "key": ""}
        entries = [{**blank, **entry} for entry in args["certificates"]]

        def run_command(command: list[str]) -> tuple[int, str, str]:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            return done.returncode, done.stdout, done.stderr

        module: Any = SimpleNamespace(
            params={"known": args.get("known", []), "metric": args.get("metric", "")},
            get_bin_path=lambda name, required: name if self.openssl else None,
            run_command=run_command,
        )
        return getattr(certificate_files, args["stage"])(module, entries)

    def content(self) -> dict[str, str]:
        files = [path for folder in (self.host, self.metric.parent, self.pki) for path in folder.rglob("*")]
        return {str(path): path.read_text() for path in files if path.is_file()}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    site = Site(tmp_path)
    for module in (action, core):
        monkeypatch.setattr(module, "METRIC", str(site.metric))
    return site


def test_the_first_run_issues_and_the_second_asks_once(site: Site) -> None:
    first = site.run(site.wish(), site.wish("haproxy", combined=True))
    assert first["changed"]
    assert [entry["reason"] for entry in first["renewed"]] == ["there is none yet"] * 2
    assert site.stages == ["inspect", "request", "install"]
    second = site.run(site.wish(), site.wish("haproxy", combined=True), passphrase="")
    assert (second["changed"], second["diff"], site.stages) == (False, [], ["inspect"])


def test_check_mode_predicts_and_changes_nothing(site: Site) -> None:
    before = site.content()
    predicted = site.run(site.wish(owner="nobody-yet", group="nobody-yet"), check=True, passphrase="")
    assert predicted["changed"]
    assert site.content() == before
    site.run(site.wish())
    after = site.content()
    assert site.run(site.wish(), check=True)["changed"] is False
    assert site.run(site.wish(names=["db2"]), check=True)["changed"] is True
    assert site.run(site.wish(combined=True), check=True)["changed"] is True
    assert site.content() == after


def test_check_mode_works_without_authority_and_openssl(site: Site) -> None:
    shutil.rmtree(site.pki)
    site.openssl = False
    predicted = site.run(site.wish(), check=True)
    assert [entry["reason"] for entry in predicted["renewed"]] == ["there is no certificate authority yet"]
    assert not site.pki.exists()


def test_no_diff_and_no_result_holds_a_key(site: Site) -> None:
    result = json.dumps(site.run(site.wish(combined=True)))
    key = (site.host / "redis" / "tls.key").read_text().splitlines()[1]
    assert key not in result
    assert "PRIVATE KEY" not in result


@pytest.mark.parametrize("wishes", [True, False], ids=["by the role", "by the renewal"])
def test_what_is_due_is_renewed(site: Site, wishes: bool) -> None:
    given = [site.wish(units=[{"name": "redis.service", "on_change": "restart"}])]
    site.run(*given)
    later = site.run(*(given if wishes else []), now=NOW + days(61))
    assert later["renewed"][0]["reason"].startswith("it ends on")
    assert later["certificates"][0]["units"] == [{"name": "redis.service", "on_change": "restart"}]
    assert later["certificates"][0]["files"][0]["content"] == (site.host / "redis" / "tls.crt").read_text()
    assert not site.run(now=NOW + days(61))["changed"]


def test_a_host_that_nobody_knows_has_nothing_to_renew(site: Site) -> None:
    assert site.run()["changed"] is False
    assert site.stages == ["inspect"]


@pytest.mark.parametrize("stage", ["request", "install"])
def test_a_killed_run_is_completed_by_the_next(site: Site, stage: str) -> None:
    site.run(site.wish())
    with pytest.raises(KeyboardInterrupt):
        site.run(site.wish(names=["db2"]), killed_before=stage)
    assert site.run(site.wish(names=["db2"]))["changed"]
    assert not site.run(site.wish(names=["db2"]))["changed"]
    assert not (site.host / "redis" / "next").exists()


def test_a_request_that_was_left_behind_is_tidied_up_when_nothing_is_due(site: Site) -> None:
    site.run(site.wish())
    with pytest.raises(KeyboardInterrupt):
        site.run(site.wish(names=["db2"]), killed_before="install")
    done = site.run(site.wish(), passphrase="")
    assert (done["changed"], done["renewed"]) == (True, [])
    assert not site.run(site.wish())["changed"]


def test_the_record_and_the_metric_come_back_when_they_are_lost(site: Site) -> None:
    site.run(site.wish())
    shutil.rmtree(site.pki / "records")
    site.metric.unlink()
    before = (site.host / "redis" / "tls.crt").read_text()
    assert site.run(site.wish())["changed"]
    assert not site.run(site.wish())["changed"]
    assert (site.host / "redis" / "tls.crt").read_text() == before


def test_tasks_of_several_services_share_the_metric(site: Site) -> None:
    site.run(site.wish())
    site.run(site.wish("etcd"))
    assert site.metric.read_text().count("tls.crt") == 2
    assert not site.run(site.wish())["changed"]
    shutil.rmtree(site.host / "etcd")
    site.run(site.wish())
    assert site.metric.read_text().count("tls.crt") == 1


def test_a_change_of_what_is_trusted_needs_no_new_certificate(site: Site) -> None:
    site.run(site.wish())
    with (site.pki / "root.crt").open("ab") as file:
        file.write(authority("root 2").pem)
    done = site.run(site.wish(), passphrase="")
    assert (done["changed"], done["renewed"]) == (True, [])
    assert (site.host / "redis" / "ca.crt").read_text() == (site.pki / "root.crt").read_text()
    assert not site.run(site.wish())["changed"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"owner": "nobody-yet"}, r"there is no user nobody-yet \(certificate redis\)"),
        ({"group": "nobody-yet"}, r"there is no group nobody-yet \(certificate redis\)"),
        ({"name": "R"}, "name is 'R'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_changes(site: Site, changes: dict[str, str], said: str) -> None:
    before = site.content()
    with pytest.raises(CertificateError, match=said):
        site.run(site.wish(**changes))
    assert site.content() == before


def test_a_wrong_passphrase_is_refused_before_a_key_is_made(site: Site) -> None:
    with pytest.raises(CertificateError, match=r"site_secrets\.pki_issuing_key does not open"):
        site.run(site.wish(), passphrase="another")
    assert site.stages == ["inspect"]


def test_a_host_without_openssl_is_told_what_installs_it(site: Site) -> None:
    site.openssl = False
    with pytest.raises(CertificateError, match="openssl is not installed"):
        site.run(site.wish())


def test_options_that_do_not_exist_are_named(site: Site) -> None:
    plugin = action.ActionModule.__new__(action.ActionModule)
    plugin._task, plugin._host = SimpleNamespace(args={"certificate": []}, check_mode=False), "db1"
    with pytest.raises(CertificateError, match="unknown option certificate"):
        plugin._provide(NOW)
