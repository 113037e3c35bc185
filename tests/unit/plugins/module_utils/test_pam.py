"""The texts of the PAM policy."""

from __future__ import annotations

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import pam

QUALITY = pam.Quality(minimum_length=14, different=4, maximum_repeat=3, maximum_sequence=4, dictionary=True, history=24)
LOCKOUT = pam.Lockout(failures=5, window=900, seconds=900, root_seconds=60)

COMMON = {
    "auth": "auth\trequisite\tpam_faillock.so preauth\n"
    "auth\t[success=2 default=ignore]\tpam_unix.so nullok try_first_pass\n"
    "auth\t[default=die]\tpam_faillock.so authfail\n",
    "account": "account\trequired\tpam_faillock.so\n",
    "password": "password\trequisite\tpam_pwhistory.so remember=24\n",
    "session": "",
    "session-noninteractive": "",
}


def test_a_policy_that_is_strong_enough_has_no_faults():
    assert pam.faults(QUALITY, LOCKOUT) == []


@pytest.mark.parametrize(
    ("quality", "lockout", "variable"),
    [
        ({"minimum_length": 7}, {}, "accounts_password_min_length: found 7, wanted at least 8"),
        ({"history": 0}, {}, "accounts_password_history"),
        ({}, {"failures": 6}, "accounts_lockout_failures: found 6, wanted 1 to 5"),
        ({}, {"failures": 0}, "accounts_lockout_failures"),
        ({}, {"seconds": 10}, "accounts_lockout_seconds"),
    ],
)
def test_a_weaker_policy_is_refused(quality, lockout, variable):
    (fault,) = pam.faults(QUALITY._replace(**quality), LOCKOUT._replace(**lockout))
    assert variable in fault


def test_every_class_of_characters_is_asked_for():
    lines = pam.pwquality("# header", QUALITY).splitlines()
    assert lines[0] == "# header"
    assert {"minlen = 14", "ucredit = -1", "lcredit = -1", "dcredit = -1", "ocredit = -1", "dictcheck = 1"} <= set(
        lines
    )
    assert "dictcheck = 0" in pam.pwquality("", QUALITY._replace(dictionary=False))


def test_faillock_and_history_say_what_the_policy_says():
    assert {"deny = 5", "unlock_time = 900", "even_deny_root", "root_unlock_time = 60"} <= set(
        pam.faillock("", LOCKOUT).splitlines()
    )
    assert pam.pwhistory("", QUALITY) == "remember = 24\nenforce_for_root\n"


def test_profiles_stand_around_pam_unix():
    profiles = pam.profiles(QUALITY)
    assert "Priority: 1024" in profiles["onprem-dify-faillock-before"]
    assert "Priority: 0" in profiles["onprem-dify-faillock-after"]
    # After pam_pwquality (1024), before pam_unix (256).
    assert "Priority: 1000" in profiles["onprem-dify-pwhistory"]
    assert "remember=24" in profiles["onprem-dify-pwhistory"]


def test_empty_passwords_open_nothing_and_other_lines_stay():
    text = pam.without_nullok(COMMON["auth"])
    assert "pam_unix.so try_first_pass" in text
    assert "nullok" not in text
    assert pam.without_nullok(text) == text
    assert pam.without_nullok("account required pam_unix.so nullok\n") == "account required pam_unix.so nullok\n"


def test_stacks_that_were_changed_by_hand_are_found():
    assert pam.missing(COMMON) == []
    assert pam.missing({**COMMON, "auth": "", "password": ""}) == [
        "/etc/pam.d/common-auth",
        "/etc/pam.d/common-auth",
        "/etc/pam.d/common-password",
    ]


@pytest.mark.parametrize(
    "su",
    [
        "auth sufficient pam_rootok.so\n# auth       required   pam_wheel.so\n@include common-auth\n",
        "auth sufficient pam_rootok.so\n@include common-auth\n",
        "auth sufficient pam_rootok.so\nauth required pam_wheel.so use_uid\n"
        "# auth required pam_wheel.so deny\n@include common-auth\n",
    ],
)
def test_su_is_for_one_group(su):
    text = pam.restrict_su(su, "sudo")
    assert text.splitlines() == [
        "auth sufficient pam_rootok.so",
        "auth       required   pam_wheel.so use_uid group=sudo",
        "@include common-auth",
    ]
    assert pam.restrict_su(text, "sudo") == text


def test_authselect_keeps_its_profile_and_gets_the_features_that_it_knows():
    assert pam.parse_authselect("sssd with-mkhomedir\n") == ("sssd", ["with-mkhomedir"])
    assert pam.parse_authselect("") == ("", [])
    known = ["with-faillock", "with-pwhistory", "without-nullok", "with-mkhomedir"]
    wanted = ["with-mkhomedir", "with-faillock", "with-pwhistory", "without-nullok"]
    assert pam.wanted_features(["with-mkhomedir"], known) == wanted
    assert pam.wanted_features(wanted, known) == wanted
    assert pam.wanted_features([], ["with-faillock"]) == ["with-faillock"]


def test_stacks_without_a_generator_count_lock_and_remember():
    stacks = pam.stacks(QUALITY)
    assert set(stacks) == {"/etc/pam.d/system-auth", "/etc/pam.d/password-auth"}
    for text in stacks.values():
        lines = [line.split() for line in text.splitlines() if line.startswith("auth")]
        # A failure is counted only by who gets past pam_unix.
        assert [line[2] for line in lines][1:4] == ["pam_faillock.so", "pam_unix.so", "pam_faillock.so"]
        assert "nullok" not in text
        assert "remember=24" in text
