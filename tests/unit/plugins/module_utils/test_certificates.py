"""Certificates as a service wishes them, and what is remembered of them."""

from __future__ import annotations

import pytest

from ansible_collections.onprem.dify.plugins.module_utils.certificates import (
    CertificateError,
    metric_text,
    normal_name,
    parse_record,
    parse_wishes,
    record_text,
    request_configuration,
)


def test_what_is_left_out_follows_from_the_rest() -> None:
    [wish] = parse_wishes([{"name": "redis", "names": ["DB1.example.internal.", "10.0.3.11", "10.0.3.11"]}])
    assert wish.directory == "/etc/onprem-dify/pki/redis"
    assert (wish.owner, wish.group, wish.combined) == ("root", "root", False)
    assert wish.common_name == "db1.example.internal"
    assert wish.names == ("db1.example.internal", "10.0.3.11")


def test_a_client_needs_no_names_of_hosts() -> None:
    [wish] = parse_wishes([{"name": "backup", "common_name": "backup", "names": []}])
    assert (wish.common_name, wish.names) == ("backup", ())


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"name": "Redis"}, "name is 'Redis'"),
        ({"name": "redis"}, "certificate redis: common_name is ''"),
        ({"name": "redis", "names": ["a" * 60 + ".example.internal"]}, "common_name has 77 characters, at most 64"),
        ({"name": "redis", "names": ["not a name"]}, "names holds 'not a name'"),
        ({"name": "redis", "names": ["db1"], "directory": "pki"}, "directory is pki"),
        ({"name": "redis", "names": ["db1"], "dirctory": "/pki"}, "unknown option dirctory"),
        ({"name": "redis", "common_name": "db1\nO = x"}, "common_name is"),
        ({"name": "redis", "names": ["db1"], "units": [{"name": "redis.service", "on_change": "kill"}]}, "units holds"),
    ],
)
def test_a_wish_that_makes_no_sense_is_named(entry: dict[str, object], said: str) -> None:
    with pytest.raises(CertificateError) as refused:
        parse_wishes([entry])
    assert said in str(refused.value)


def test_all_faults_are_said_at_once() -> None:
    entries = [{"name": "a", "names": ["x y"]}, {"name": "b"}, *[{"name": "c", "names": ["c"]}] * 2]
    with pytest.raises(CertificateError) as refused:
        parse_wishes(entries)
    assert "certificate a" in str(refused.value)
    assert "certificate b" in str(refused.value)
    assert "/etc/onprem-dify/pki/c is wished twice" in str(refused.value)


def test_names_are_compared_in_one_form() -> None:
    assert normal_name("2001:DB8:0::1") == "2001:db8::1"
    assert normal_name("*.Example.internal.") == "*.example.internal"


def test_the_wish_survives_being_remembered() -> None:
    entry = {"name": "redis", "names": ["db1"], "units": [{"name": "redis.service", "on_change": "restart"}]}
    wishes = parse_wishes([entry])
    text = record_text({wish.directory: {**wish.as_dict(), "not_after": 1800000000} for wish in wishes})
    assert parse_wishes(list(parse_record(text).values())) == wishes


@pytest.mark.parametrize("text", ["", "{", "[]", '{"/a": 1}', '{"/a": {"not_after": "soon"}}'])
def test_a_damaged_record_counts_as_none(text: str) -> None:
    assert parse_record(text) == {}


def test_the_metric_has_one_line_for_each_certificate() -> None:
    lines = metric_text({"/b": {"not_after": 1900000000}, '/a"': {"not_after": 1800000000}}).splitlines()
    assert lines[2:] == [
        'onprem_dify_certificate_not_after_seconds{path="/a\\"/tls.crt"} 1800000000',
        'onprem_dify_certificate_not_after_seconds{path="/b/tls.crt"} 1900000000',
    ]


def test_a_request_names_the_subject_only() -> None:
    assert "CN = db1" in request_configuration("db1")
    assert "subjectAltName" not in request_configuration("db1")
