# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask dnf what some packages need, on a system where nothing is installed. Run by the Python that has dnf.

Reads a question in JSON, and writes the answer in JSON: the packages, and where dnf keeps the repositories' indexes.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any


def main() -> int:
    dnf = importlib.import_module("dnf")
    asked = json.load(sys.stdin)
    try:
        answer = answer_to(dnf, asked)
    except (dnf.exceptions.Error, LookupError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    json.dump(answer, sys.stdout)
    return 0


def answer_to(dnf: Any, asked: dict[str, Any]) -> dict[str, Any]:
    with dnf.Base(configuration(dnf, asked)) as base:
        for repository in asked["repositories"]:
            add(dnf, base, repository)
        base.fill_sack(load_system_repo=False)
        available = base.sack.query().available()
        missing = [name for name in asked["optional"] if not available.filter(name=name)]
        for name in [*asked["wanted"], *asked["optional"]]:
            if name not in missing:
                base.goal.install(select=chosen(dnf, base, available, name, asked["pinned"].get(name)))
        if not base.resolve():
            return {"missing": missing, "packages": [], "indexes": {}}
        packages = [described(dnf, package) for package in base.transaction.install_set]
        kinds = ("primary", "filelists")
        indexes = {one.id: {kind: one.get_metadata_path(kind) for kind in kinds} for one in base.repos.iter_enabled()}
        return {"missing": missing, "packages": packages, "indexes": indexes}


def configuration(dnf: Any, asked: dict[str, Any]) -> Any:
    found = dnf.conf.Conf()
    # Nothing of the machine that asks.
    found.config_file_path = found.persistdir = f"{asked['work']}/state"
    found.cachedir = f"{asked['work']}/cache"
    found.installroot = f"{asked['work']}/root"
    found.logdir = f"{asked['work']}/log"
    found.reposdir = found.varsdir = found.pluginpath = []
    found.install_weak_deps = False
    found.ignorearch = True
    found.best = True
    found.retries = 3
    found.module_platform_id = asked["platform"]
    found.substitutions["arch"] = found.substitutions["basearch"] = asked["machine"]
    found.substitutions["releasever"] = asked["version"]
    if asked["ca_file"]:
        found.sslcacert = asked["ca_file"]
    return found


def add(dnf: Any, base: Any, asked: dict[str, str]) -> None:
    repository = dnf.repo.Repo(asked["id"], base.conf)
    repository.baseurl = [asked["uri"]]
    repository.username, repository.password = asked["user"], asked["password"]
    repository.skip_if_unavailable = False
    repository.enable()
    base.repos.add(repository)


def chosen(dnf: Any, base: Any, available: Any, name: str, pinned: str | None) -> Any:
    selector = dnf.selector.Selector(base.sack)
    if pinned is None:
        if available.filter(name=name):
            return selector.set(name=name)
        if available.filter(provides=name):
            return selector.set(provides=name)
        raise LookupError(f"no repository has {name}")
    offered = sorted(available.filter(name=name), reverse=True)
    for package in offered:
        if pinned in (package.version, f"{package.version}-{package.release}", package.evr):
            return selector.set(name=name, evr=package.evr)
    found = ", ".join(package.evr for package in offered) or "none"
    raise LookupError(
        f"{name} is pinned to {pinned}, and the repositories offer {found}. Pin another version in site_pins, or let "
        "bundle_sources lead to repositories that still have it."
    )


def described(dnf: Any, package: Any) -> dict[str, Any]:
    kind, digest = package.chksum
    return {
        "name": package.name,
        "version": package.evr,
        "architecture": package.arch,
        "repository": package.repoid,
        "location": package.location,
        "size": package.downloadsize,
        "digest": f"{dnf.sack.hawkey.chksum_name(kind)}:{digest.hex()}",
    }


if __name__ == "__main__":
    sys.exit(main())
