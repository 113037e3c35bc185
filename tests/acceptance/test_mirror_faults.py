"""A bundle on its way to a hardened mirror: what is refused, what is sent, what is served while something breaks."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import random
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from acceptance.carried import (
    APP,
    KILL,
    LOAD,
    MEGABYTE,
    NEW,
    OLD,
    PATCHED,
    PAUSE,
    TALK,
    Site,
    artefacts,
    back,
    blob,
    copied,
    edited,
    extra,
    foreign,
    image,
    messages,
    replayed,
    rewrite,
    start,
    swap,
    unsigned,
    whole,
)

from lab import bundles, cgroups, mirrors, packages, scratch
from lab.bundles import Bundle
from lab.processes import kill_tree

KILLS = int(os.environ.get("KILLS", "10"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    # Beside the blobs that the bundles share, so that they are links.
    place = bundles.home() / "faults"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    yield place
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="module")
def old(folder: Path) -> Bundle:
    return bundles.make(folder / "old", OLD, ["faketime"], images={f"{PAUSE}:3.10.2": 1, f"{APP}:1.0": 60})


@pytest.fixture(scope="module")
def new(folder: Path) -> Bundle:
    return bundles.make(folder / "new", NEW, ["cowsay", "faketime"], images={f"{PAUSE}:3.10.2": 1, f"{APP}:1.1": 40})


@pytest.fixture(scope="module")
def site(folder: Path, old: Bundle) -> Iterator[Site]:
    """Hardened and firewalled from the bundle alone: the lab's package cache is off before the first run."""
    tree = {
        "app": {"children": {"workers": {"hosts": {"worker1": {"ansible_host": "10.89.2.21"}}}}},
        "ops": {"children": {"mirror": {"hosts": {"ops1": {"ansible_host": "10.89.4.11"}}}}},
    }
    inventory = scratch.copy_of_example(folder / "inventory", "mirrortwo", "89", tree=tree)
    variables = scratch.load(inventory / "group_vars/all/site.yml")
    for name in ("packages_repositories", "lab_repositories", "site_extra_flows"):
        del variables[name]
    del variables["site_services"]["packages"]
    scratch.dump(inventory / "group_vars/all/site.yml", {**variables, **old.variables(), "lab_artifacts": []})
    with scratch.running(inventory) as running:
        found = Site(running.inventory)
        packages.down(cgroups.members_of(found.lab.name))
        for playbook in ("playbooks/mirror.yml", "playbooks/harden.yml", "playbooks/segment.yml"):
            run = found.play(playbook)
            assert run.status == "successful", run.failures
        found.root("worker1", "apt-get update --quiet && apt-get install --yes curl skopeo")
        yield found


# What arrives


def test_a_second_load_sends_nothing_and_changes_nothing(site: Site, old: Bundle) -> None:
    before, state = site.received(), site.state()
    run = site.load(old.folder)
    assert run.status == "successful", run.failures
    assert run.total_changed == 0
    assert site.state() == state
    assert site.received() - before < TALK < old.size / 10
    print(json.dumps({"second load": site.received() - before, "bundle": old.size}))


@pytest.mark.parametrize("fault", ["flipped", "truncated", "missing"])
def test_damaged_artefacts_of_every_kind_are_refused_by_their_names_and_nothing_is_sent(
    site: Site, old: Bundle, new: Bundle, fault: str
) -> None:
    folder = copied(new, "damaged")
    carried = {digest.removeprefix("sha256:") for digest in new.lock.missing_in(old.lock)}
    expected = []
    for artefact in artefacts(new).values():
        path = blob(new, folder, artefact)
        # What the mirror has need not be in the bundle, as in a delta.
        if fault != "missing" or path.name in carried:
            expected.append(artefact)
        content = path.read_bytes()
        if fault == "missing":
            path.unlink()
        elif fault == "truncated":
            rewrite(path, content[:-1])
        else:
            rewrite(path, bytes([content[0] ^ 1]) + content[1:])
    assert len(expected) > 1
    refused(site, folder, *expected)


@pytest.mark.parametrize("tamper", [swap, extra, edited, foreign, unsigned, replayed])
def test_a_bundle_that_is_not_what_was_signed_is_refused_and_nothing_is_sent(
    site: Site, new: Bundle, tamper: Callable[[Bundle, Path], str]
) -> None:
    folder = copied(new, "tampered")
    refused(site, folder, tamper(new, folder))


def refused(site: Site, folder: Path, *reasons: str) -> None:
    before, state = site.received(), site.state()
    run = site.load(folder)
    assert run.status == "failed"
    for reason in reasons:
        assert reason in messages(run), messages(run)
    assert "the bundle is refused" in messages(run)
    assert site.state() == state
    assert site.received() - before < TALK


def test_a_delta_gives_the_same_site_as_the_whole_bundle(site: Site, old: Bundle, folder: Path) -> None:
    """One component gets a patch."""
    patched = bundles.make(folder / "patched", PATCHED, ["faketime"], images={f"{PAUSE}:3.10.3": 1, f"{APP}:1.0": 60})
    delta = bundles.product.module_utils("bundle_delta")
    carried, _ = delta.make(patched.folder, old.lock, folder / "delta")
    share = sum(carried.values()) / patched.size
    assert share < 0.15
    before, trees = site.received(), []
    for source in (folder / "delta", patched.folder):
        run = site.load(source)
        assert run.status == "successful", run.failures
        whole(site, patched)
        trees.append(site.tree(PATCHED))
        back(site, PATCHED)
        if len(trees) == 1:
            received = site.received() - before
    assert trees[0] == trees[1]
    assert trees[0].count("\n") > len(patched.lock.files)
    print(json.dumps({"delta": sum(carried.values()), "bundle": patched.size, "share": share, "received": received}))


# What breaks


def test_a_disk_that_is_full_is_said_and_the_load_goes_on_when_there_is_room(site: Site, new: Bundle) -> None:
    # What Ansible itself needs for a moment, and less than the bundle.
    site.root("ops1", f"fallocate --length {16 * MEGABYTE} /root/spare")
    assert site.command("fill", "ops1").returncode == 0
    try:
        site.root("ops1", "rm /root/spare")
        run = site.load(new.folder)
        assert run.status == "failed"
        assert f"{mirrors.ROOT} has " in messages(run), messages(run)
        assert "playbooks/mirror_gc.yml" in messages(run), messages(run)
        assert site.served("ops1").startswith(OLD)
        assert site.pull("worker1", "10.89.4.11", dataclasses.asdict(image(site, APP))).returncode == 0
    finally:
        assert site.command("fill", "ops1", "--free").returncode == 0
    run = site.load(new.folder)
    assert run.status == "successful", run.failures
    assert site.served("ops1").startswith(NEW)
    back(site)


def test_a_second_load_at_once_is_refused_and_says_who_is_at_work(site: Site, new: Bundle) -> None:
    site.root("ops1", f"systemd-run --quiet --collect --unit=other flock {mirrors.ROOT}/.lock sleep 600")
    try:
        run = site.load(new.folder, mirror_load_megabytes=8)
        assert run.status == "failed"
        assert "another load is at work in /srv/onprem-dify/mirror (process " in messages(run)
        assert site.served("ops1").startswith(OLD)
    finally:
        site.root("ops1", "systemctl stop other")


def test_two_loads_at_once_end_with_the_whole_release(site: Site, new: Bundle) -> None:
    loads = [start(site, new.folder) for _number in range(2)]
    outputs = [load.communicate()[0] for load in loads]
    for load, output in zip(loads, outputs, strict=True):
        assert load.returncode == 0 or "run it again" in output or "another load" in output, output
    run = site.load(new.folder)
    assert run.status == "successful", run.failures
    whole(site, new)
    back(site)


def test_a_load_that_is_killed_at_any_moment_is_done_by_the_next_one(site: Site, new: Bundle, old: Bundle) -> None:
    """Killed are by turns all of the controller, and the module on the mirror. What came is not sent again."""
    started = time.monotonic()
    site.received()
    load = start(site, new.folder)
    assert load.wait() == 0
    seconds = time.monotonic() - started
    back(site)
    missing = sum(new.lock.missing_in(old.lock).values())
    piece = 4 * MEGABYTE
    figures = []
    for number in range(KILLS):
        moment = random.Random(number).uniform(0.1, 0.95) * seconds
        before = site.received()
        load = start(site, new.folder)
        time.sleep(moment)
        if number % 2:
            kill_tree(load.pid)
        else:
            site.run("ops1", KILL)
        load.communicate()
        served = site.served("ops1")
        assert served.startswith((OLD, NEW))
        whole(site, old if served.startswith(OLD) else new)
        finished = site.blobs()
        run = site.load(new.folder, mirror_load_megabytes=4)
        assert run.status == "successful", run.failures
        whole(site, new)
        assert finished <= site.blobs(), "what was finished came again"
        twice = site.received() - before - missing
        # At most the load that was on its way travels again, besides talk and the headers of packets.
        assert twice < piece + 3 * TALK + missing / 20, f"killed after {moment:.1f} s: {twice} bytes"
        figures.append({"moment": round(moment, 1), "served": served[:10], "finished": len(finished), "twice": twice})
        back(site)
    print(json.dumps({"seconds": round(seconds, 1), "missing": missing, "kills": figures}))


def test_a_pull_goes_on_where_the_registry_was_restarted(site: Site, old: Bundle) -> None:
    layer = max(old.image(APP).blobs, key=lambda one: one.size)
    url = f"https://10.89.4.11:5000/v2/{APP}/blobs/{layer.digest}"
    site.root("worker1", "rm -f /root/layer")
    fetch = f"curl --silent --fail --cacert {mirrors.CA_FILE} --limit-rate 12M --continue-at - --output /root/layer"
    pulling = subprocess.Popen(
        mirrors.ssh.command(site.lab, site.lab.host("worker1"), f"sudo {fetch} {url}", batch=True),
        stdin=subprocess.DEVNULL,
    )
    time.sleep(2)
    site.root("ops1", "systemctl restart onprem-dify-registry")
    broken = pulling.wait()
    assert broken != 0
    there = int(site.root("worker1", "stat --format=%s /root/layer"))
    assert 0 < there < layer.size
    site.root("worker1", f"{fetch} --retry 5 --retry-connrefused --retry-delay 1 {url}")
    assert site.root("worker1", "sha256sum /root/layer").split()[0] == layer.digest.removeprefix("sha256:")
    whole(site, old)


# Clocks


@pytest.fixture
def faketime(old: Bundle, tmp_path: Path) -> str:
    """The library that gives a process another clock, out of the bundle."""
    (library,) = (file for file in old.lock.files if "/libfaketime_" in file.path)
    deb = old.blobs / library.digest.removeprefix("sha256:")
    subprocess.run(["dpkg-deb", "--extract", str(deb), str(tmp_path)], check=True)
    (found,) = tmp_path.rglob("libfaketime.so.1")
    return str(found)


# Python itself does not run with this library. Of what judges a bundle, ssh-keygen alone could ask for the time.
@pytest.mark.parametrize("years", ["-4y", "+8y"])
def test_wrong_clocks_of_controller_and_mirror_let_the_right_bundle_in_and_the_old_one_not(
    site: Site, old: Bundle, new: Bundle, faketime: str, tmp_path: Path, years: str
) -> None:
    program = tmp_path / "bin/ssh-keygen"
    program.parent.mkdir()
    program.write_text(wrong_clock(f"LD_PRELOAD={faketime} FAKETIME={years}", f"{tmp_path}/asked"))
    program.chmod(0o755)
    clock = {"PATH": f"{program.parent}:{os.environ['PATH']}"}
    site.root("ops1", "apt-get update --quiet && apt-get install --yes faketime && rm -f /root/asked")
    content = shlex.quote(wrong_clock(f"faketime -f {years}", "/root/asked"))
    site.root("ops1", f"printf %s {content} > /usr/local/bin/ssh-keygen && chmod 755 /usr/local/bin/ssh-keygen")
    try:
        load = start(site, new.folder, clock)
        output, _ = load.communicate()
        assert load.returncode == 0, output
        whole(site, new)
        load = start(site, old.folder, clock)
        output, _ = load.communicate()
        assert load.returncode != 0
        assert f"release {OLD} is older than {NEW}, which the site has" in " ".join(output.split())
    finally:
        site.root("ops1", "rm /usr/local/bin/ssh-keygen")
    asked = {*(tmp_path / "asked").read_text().split(), *site.root("ops1", "cat /root/asked").split()}
    assert len(asked) == 1 and str(datetime.date.today().year) not in asked
    back(site)


def wrong_clock(how: str, trace: str) -> str:
    return f'#!/bin/sh\n{how} date +%Y >> {trace}\n{how} /usr/bin/ssh-keygen "$@"\n'


def test_a_host_whose_clock_is_wrong_is_told_so_and_installs_nothing(site: Site) -> None:
    site.root("worker1", "apt-get update --quiet && apt-get install --yes faketime && apt-get --yes remove hello")
    update = "apt-get update --quiet --option=APT::Update::Error-Mode=any"
    for years, words in (("-4", "not yet valid"), ("+40", "expired")):
        asked = site.run("worker1", f"faketime -f {years}y {update}")
        assert asked.returncode != 0
        assert words in asked.stdout + asked.stderr
        pulled = site.run(
            "worker1", f"faketime -f {years}y curl --cacert {mirrors.CA_FILE} https://10.89.4.11/lock.json"
        )
        assert pulled.returncode == 60
    site.root("worker1", f"{update} && apt-get install --yes hello && hello")


# Back, and room


def test_a_release_goes_back_and_what_runs_of_the_other_one_can_still_be_pulled(
    site: Site, old: Bundle, new: Bundle
) -> None:
    assert site.load(new.folder).status == "successful"
    # The cluster still runs the old images after the load, and the new ones after going back.
    assert site.pull("worker1", "10.89.4.11", dataclasses.asdict(old.image(APP))).returncode == 0
    site.root("worker1", "apt-get update --quiet && apt-get install --yes cowsay")
    leave = {"mirror_rollback_from": NEW}
    assert {host for host, _ in site.play("playbooks/mirror_rollback.yml", extra_vars=leave).changed} == {
        "ops1",
        "worker1",
    }
    assert site.play("playbooks/mirror_rollback.yml", extra_vars=leave).changed == set()
    whole(site, old)
    assert site.pull("worker1", "10.89.4.11", dataclasses.asdict(new.image(APP))).returncode == 0
    site.root("worker1", "apt-get update --quiet")
    assert "10.89.4.11" not in site.root("worker1", "apt-cache policy cowsay")
    assert "10.89.4.11" in site.root("worker1", "apt-cache policy hello")
    assert site.load(new.folder).status == "successful"
    whole(site, new)


def test_room_is_made_by_command_and_what_is_served_stays(site: Site, old: Bundle, new: Bundle, folder: Path) -> None:
    assert site.play("playbooks/mirror_gc.yml").total_changed == 0
    newest = bundles.make(folder / "newest", "2026.11.20", images={f"{PAUSE}:3.10.2": 1})
    assert site.load(newest.folder).status == "successful"
    before = int(site.root("ops1", f"du --summarize --bytes {mirrors.ROOT}").split()[0])
    assert site.play("playbooks/mirror_gc.yml").total_changed == 1
    freed = before - int(site.root("ops1", f"du --summarize --bytes {mirrors.ROOT}").split()[0])
    assert freed > max(one.size for one in old.image(APP).blobs)
    whole(site, newest)
    assert site.pull("worker1", "10.89.4.11", dataclasses.asdict(new.image(APP))).returncode == 0
    assert site.pull("worker1", "10.89.4.11", dataclasses.asdict(old.image(APP))).returncode != 0


def test_a_bundle_on_a_disk_of_the_mirror_is_loaded_too(site: Site, folder: Path) -> None:
    last = bundles.make(folder / "last", "2026.11.24", images={f"{PAUSE}:3.10.2": 1})
    machine = site.lab.host("ops1")
    tar = subprocess.Popen(["tar", "-C", str(last.folder), "-c", "."], stdout=subprocess.PIPE)
    put = mirrors.ssh.command(
        site.lab, machine, "sudo sh -c 'mkdir -p /media/bundle && tar -xC /media/bundle'", batch=True
    )
    assert subprocess.run(put, stdin=tar.stdout, check=False).returncode == 0
    on_host = {"mirror_bundle": "", "mirror_bundle_on_host": "/media/bundle"}
    path = site.root("ops1", "ls /media/bundle/blobs/sha256/* | head -n 1")
    site.root("ops1", f"cp {path} /root/kept && printf x >> {path}")
    run = site.play(LOAD, extra_vars=on_host)
    assert run.status == "failed" and "the bundle is refused" in messages(run)
    site.root("ops1", f"cp /root/kept {path}")
    run = site.play(LOAD, extra_vars=on_host)
    assert run.status == "successful", run.failures
    whole(site, last)
    assert site.play(LOAD, extra_vars=on_host).total_changed == 0
