"""The language of sshd_config."""

from __future__ import annotations

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import sshd

MAIN = "/etc/ssh/sshd_config"
DROPIN = "/etc/ssh/sshd_config.d/00-onprem-dify.conf"
DEBIAN = "# comment\n\nInclude /etc/ssh/sshd_config.d/*.conf\n\nUsePAM yes\nMatch User x\n    X11Forwarding yes\n"


def test_directives_are_read_with_the_match_that_they_stand_in():
    lines = sshd.parse(
        'Port=22\n# Port 23\nBanner "/a file"\nMatch User a,b\n X11Forwarding no\nMatch all\nUseDNS no', "f"
    )
    assert [(line.number, line.keyword, line.arguments, line.match) for line in lines] == [
        (1, "port", ("22",), ""),
        (3, "banner", ("/a file",), ""),
        (4, "match", ("User", "a,b"), "User a,b"),
        (5, "x11forwarding", ("no",), "User a,b"),
        (6, "match", ("all",), ""),
        (7, "usedns", ("no",), ""),
    ]


def test_a_line_with_an_open_quote_is_kept_for_sshd_to_refuse():
    assert sshd.parse('Banner "open', "f")[0].arguments == ('"open',)


@pytest.mark.parametrize(
    ("value", "wanted"), [(True, ["yes"]), (False, ["no"]), (4, ["4"]), ("a b", ["a b"]), ([1, [True]], ["1", "yes"])]
)
def test_values_become_words(value, wanted):
    assert sshd.words(value) == wanted


def test_the_drop_in_is_written_in_sshds_words():
    options = {
        "Port": [22, 2222],
        "AllowGroups": ["sudo", "ops"],
        "Ciphers": ["a", "b"],
        "UseDNS": False,
        "ListenAddress": [],
        "Banner": "",
    }
    assert sshd.render("# header\n", options) == (
        "# header\n\nPort 22\nPort 2222\nAllowGroups sudo ops\nCiphers a,b\nUseDNS no\n"
    )
    assert sshd.render("", {"UseDNS": True}) == "UseDNS yes\n"


def test_an_include_that_comes_first_stays():
    assert sshd.place_include(DEBIAN, MAIN, DROPIN) == DEBIAN


def test_a_relative_include_counts():
    text = "Include sshd_config.d/*.conf\n"
    assert sshd.place_include(text, MAIN, DROPIN) == text


def test_an_include_that_comes_late_moves_to_the_top():
    text = "PermitRootLogin yes\nInclude /etc/ssh/sshd_config.d/*.conf\n"
    assert sshd.place_include(text, MAIN, DROPIN) == "Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin yes\n"


@pytest.mark.parametrize("text", ["PermitRootLogin yes\n", "Include /etc/ssh/other/*.conf\n", "", "Match all\n"])
def test_a_main_file_without_include_gets_one(text):
    assert sshd.place_include(text, MAIN, DROPIN).splitlines()[0] == "Include /etc/ssh/sshd_config.d/*.conf"
    assert sshd.place_include(text, MAIN, DROPIN).endswith(text)


def test_an_include_inside_a_match_does_not_count():
    text = "Match User x\n    Include /etc/ssh/sshd_config.d/*.conf\n"
    assert sshd.place_include(text, MAIN, DROPIN).splitlines()[0].startswith("Include")


def test_the_candidate_takes_the_place_of_the_drop_in_among_its_neighbours():
    beside = ["/etc/ssh/sshd_config.d/50-cloud.conf", DROPIN, "/etc/ssh/sshd_config.d/README"]
    text = sshd.with_candidate(DEBIAN, MAIN, DROPIN, "/tmp/c", beside)
    assert "Include /tmp/c /etc/ssh/sshd_config.d/50-cloud.conf" in text.splitlines()
    assert "UsePAM yes" in text


def test_a_drop_in_that_does_not_exist_yet_is_tried_all_the_same():
    assert "Include /tmp/c /other" in sshd.with_candidate(
        "Include /etc/ssh/sshd_config.d/*.conf /other\n", MAIN, DROPIN, "/tmp/c", []
    )


def test_what_others_set_is_found_and_named():
    alone = {"permitrootlogin": ["no"], "allowgroups": ["sudo"], "port": ["22"], "hostkey": ["/k"]}
    full = {"permitrootlogin": ["yes"], "allowgroups": ["ops", "sudo"], "port": ["2222"], "hostkey": ["/k", "/l"]}
    lines = sshd.parse("PermitRootLogin yes\nAllowGroups ops\n", "/etc/ssh/sshd_config.d/00-a.conf")
    found = [str(f) for f in sshd.overridden(["PermitRootLogin", "AllowGroups", "Port", "HostKey"], alone, full, lines)]
    assert found == [
        "sshd_permit_root_login (PermitRootLogin): found yes (set by /etc/ssh/sshd_config.d/00-a.conf:1), wanted no",
        "sshd_allow_groups (AllowGroups): found ops sudo (set by /etc/ssh/sshd_config.d/00-a.conf:2), wanted sudo",
    ]


def test_what_holds_is_not_reported():
    assert sshd.overridden(["UseDNS"], {"usedns": ["no"]}, {"usedns": ["no"]}, []) == []


def test_a_directive_that_got_lost_is_reported_without_a_culprit():
    (finding,) = sshd.overridden(["Nonsense"], {"nonsense": ["a"]}, {}, [])
    assert str(finding) == "sshd_extra_options.Nonsense (Nonsense): found nothing, wanted a"


def test_exceptions_for_some_logins_are_listed():
    lines = sshd.parse("X11Forwarding yes\nMatch Group sftp\n  X11Forwarding yes\n  ForceCommand internal-sftp\n", "/f")
    assert sshd.exceptions(["X11Forwarding"], lines) == ["/f:3: Match Group sftp: x11forwarding yes"]


def test_effective_values_may_come_in_several_lines():
    assert sshd.parse_effective("port 22\nport 2222\nusedns no\n\n") == {"port": ["22", "2222"], "usedns": ["no"]}


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        ("ssh-ed25519", "ed25519"),
        ("ssh-ed25519-cert-v01@openssh.com", "ed25519"),
        ("rsa-sha2-512", "rsa"),
        ("ecdsa-sha2-nistp256", "ecdsa"),
        ("sk-ssh-ed25519@openssh.com", "ed25519-sk"),
        ("ssh-dss", "ssh-dss"),
    ],
)
def test_an_algorithm_belongs_to_a_type_of_key(algorithm, kind):
    assert sshd.key_type(algorithm) == kind


def test_algorithms_without_a_key_are_not_offered():
    assert sshd.key_types(["ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256"], ["ed25519"]) == ["ssh-ed25519"]
