"""The dry run tells the truth, on a virgin host and on a converged one."""

from __future__ import annotations

import pytest

# Made on the controller, each step from the one before it: what signs what is not there yet cannot be tried.
STEPS = ("Make the key of the {}", "Request the {}")
AUTHORITY = {
    *(("db1", f"pki: {step.format(part)}") for step in STEPS for part in ("root", "issuing authority")),
    *(("db1", "pki: Sign the root"), ("db1", "pki: Sign the issuing authority with the root")),
}


@pytest.fixture(scope="module")
def site(start_site):
    return start_site("dryrun", "88", ["gateway1", "cp1", "db1"])


@pytest.fixture(scope="module")
def runs(site):
    predicted = site.play(check=True)
    first = site.play()
    return {"predicted": predicted, "first": first, "checked again": site.play(check=True), "second": site.play()}


@pytest.mark.parametrize("name", ["predicted", "first", "checked again", "second"])
def test_no_run_fails(runs, name):
    assert runs[name].status == "successful", runs[name].failures


def test_what_the_dry_run_predicts_on_a_virgin_host_is_what_changes(runs):
    assert runs["first"].changed - AUTHORITY == runs["predicted"].changed


def test_the_dry_run_announces_a_new_authority_by_its_first_step(runs):
    assert ("db1", "pki: Make its directory") in runs["predicted"].changed
    assert runs["first"].changed >= AUTHORITY


def test_the_dry_run_of_a_converged_host_predicts_no_change(runs):
    assert runs["checked again"].changed == set()


def test_the_second_run_changes_nothing(runs):
    assert runs["second"].changed == set()
