"""Keys of secrets: what is stored can be read at every moment of a change."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import kubernetes_encryption as encryption
from ansible_collections.onprem.dify.plugins.module_utils.kubernetes_encryption import EncryptionError, Kms

SECRET = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
OLD, NEW = encryption.key_of(SECRET), encryption.key_of(SECRET[::-1])
KMS = Kms("site", "/run/kms/plugin.sock")


def providers(*writers: Any) -> list[dict[str, Any]]:
    (rule,) = json.loads(encryption.render(writers))["resources"]
    assert rule["resources"] == ["secrets"]
    return list(rule["providers"])


def test_secrets_are_encrypted_before_they_are_written() -> None:
    written, readable = providers(OLD)
    assert written == {"aesgcm": {"keys": [{"name": OLD.name, "secret": SECRET}]}}
    # What was written without encryption can still be read.
    assert readable == {"identity": {}}


def test_another_key_has_another_name() -> None:
    assert OLD.name != NEW.name
    assert SECRET[:8] not in OLD.name


def test_a_plugin_for_keys_is_asked_by_the_second_version_of_its_interface() -> None:
    endpoint = "unix:///run/kms/plugin.sock"
    assert providers(KMS)[0] == {"kms": {"apiVersion": "v2", "name": "site", "endpoint": endpoint, "timeout": "3s"}}


@pytest.mark.parametrize("writers", [[OLD], [OLD, NEW], [NEW, KMS], [KMS, OLD], [OLD, KMS, NEW]])
def test_what_was_written_is_read_in_its_order(writers: list[Any]) -> None:
    assert encryption.parse(encryption.render(writers)) == writers


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not one of this collection"),
        ("resources: []", "not one of this collection"),
        ('{"resources": [{"providers": [{"identity": {}}]}]}', "names no key"),
        ('{"resources": [{"providers": [{"secretbox": {}}, {"identity": {}}]}]}', "not one of this collection"),
    ],
)
def test_a_configuration_of_others_is_not_touched(text: str, why: str) -> None:
    with pytest.raises(EncryptionError, match=why):
        encryption.parse(text)


@pytest.mark.parametrize("wanted", [NEW, KMS])
def test_a_key_is_known_before_it_writes_and_the_old_one_goes_last(wanted: Any) -> None:
    known = encryption.added([OLD], wanted)
    assert known == [OLD, wanted]
    writes = encryption.first(known, wanted)
    assert writes == [wanted, OLD]
    assert encryption.alone(writes, wanted) == [wanted]


def test_a_rotation_that_was_broken_off_goes_on() -> None:
    for found in ([OLD], [OLD, NEW], [NEW, OLD], [NEW]):
        known = encryption.added(found, NEW)
        assert encryption.alone(encryption.first(known, NEW), NEW) == [NEW]
    assert encryption.added([NEW, OLD], NEW) == [NEW, OLD]


def test_no_step_is_left_out() -> None:
    with pytest.raises(EncryptionError, match="has to be added before it writes"):
        encryption.first([OLD], NEW)
    with pytest.raises(EncryptionError, match=f"{OLD.name} still writes"):
        encryption.alone([OLD, NEW], NEW)


@pytest.mark.parametrize("step", ["add", "first", "remove"])
def test_a_dry_run_tells_each_step_from_where_it_begins(step: str) -> None:
    found = encryption.after_earlier([OLD], NEW, step)
    assert NEW in encryption.STEPS[step](found, NEW)


@pytest.mark.parametrize("found", [[OLD], [OLD, NEW], [NEW, OLD]])
def test_a_normal_run_changes_no_key(found: list[Any]) -> None:
    with pytest.raises(EncryptionError, match=f"its keys are .*, the inventory's is {NEW.name} .*kubernetes_rotate"):
        encryption.kept(found, NEW)
    assert encryption.kept([NEW], NEW) == [NEW]


def test_the_metrics_of_an_api_server_say_with_which_configuration_it_works() -> None:
    name = "apiserver_encryption_config_controller_last_config_info"
    text = encryption.render([OLD])
    lines = [
        f'{name}{{apiserver_id_hash="sha256:{"a" * 64}",hash="sha256:{encryption.checksum(text)}"}} 1',
        f'{name}{{apiserver_id_hash="sha256:{"a" * 64}",hash="sha256:{"b" * 64}"}} 0',
        f'another_config_info{{hash="sha256:{"c" * 64}"}} 1',
    ]
    assert encryption.loaded("\n".join(lines)) == {encryption.checksum(text)}
    assert encryption.loaded("") == set()


def entry(path: str, value: bytes) -> dict[str, str]:
    return {"key": base64.b64encode(path.encode()).decode(), "value": base64.b64encode(value).decode()}


def test_what_another_key_has_written_is_seen_in_etcd() -> None:
    entries = [
        entry("/registry/secrets/default/new", NEW.prefix + bytes(1000)),
        entry("/registry/secrets/default/old", OLD.prefix + bytes(1000)),
        entry("/registry/secrets/kube-system/plain", b"k8s\x00"),
    ]
    found = encryption.parse_stored(json.dumps({"kvs": entries}), NEW)
    assert [(one.namespace, one.name, one.ours) for one in found] == [
        ("default", "new", True),
        ("default", "old", False),
        ("kube-system", "plain", False),
    ]
    assert encryption.parse_stored('{"header": {}}', NEW) == []


def test_the_keys_of_a_snapshot_are_found_wherever_it_is_cut() -> None:
    data = bytes(300) + OLD.prefix + bytes(300) + KMS.prefix + b"\xff" * 300
    for size in (7, 64, 1000):
        parts = [data[start : start + size] for start in range(0, len(data), size)]
        assert encryption.writers_in(parts) == {OLD.name, "site"}
    assert encryption.writers_in([b"k8s\x00"]) == set()


def test_a_snapshot_that_needs_another_key_is_refused() -> None:
    assert encryption.unreadable({OLD.name, NEW.name}, {NEW.name}) == ""
    assert encryption.unreadable(set(), {NEW.name}) == ""
    assert f"were written by {OLD.name}, and this control plane knows {NEW.name}" in encryption.unreadable(
        {OLD.name}, {NEW.name}
    )
    assert "knows no key" in encryption.unreadable({OLD.name}, set())
