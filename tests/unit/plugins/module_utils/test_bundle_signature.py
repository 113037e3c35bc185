"""A lock counts if one of the trusted signers signed it as the lock of a bundle, whatever the clock says."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from unit.plugins.module_utils.bundles import key, public, signers

from ansible_collections.onprem.dify.plugins.module_utils import bundle_signature
from ansible_collections.onprem.dify.plugins.module_utils.bundle_signature import (
    SignatureError,
    parse_signers,
    sign,
    verify_by,
)

DATA = b"a lock\n"


def refused(data: bytes, signature: bytes, *names: str) -> SignatureError:
    with pytest.raises(SignatureError) as error:
        verify_by(data, signature, signers(*names))
    return error.value


def line(names: str = "release@bank", options: str = "") -> str:
    return " ".join(word for word in (names, options, public("release")) if word)


def test_a_signature_is_of_its_signer_among_several() -> None:
    for name in ("release", "deputy"):
        assert verify_by(DATA, sign(DATA, key(name)), signers("release", "deputy")) == f"{name}@bank"


def test_the_same_key_signs_the_same_lock_the_same_way() -> None:
    assert sign(DATA, key("release")) == sign(DATA, key("release"))


@pytest.mark.parametrize("kind", [["ecdsa"], ["rsa", "-b", "2048"]])
def test_other_kinds_of_keys_sign_too(tmp_path: Path, kind: list[str]) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", *kind, "-N", "", "-f", str(tmp_path / "key")], check=True)
    trusted = parse_signers([f"her {(tmp_path / 'key.pub').read_text()}"])
    assert verify_by(DATA, sign(DATA, tmp_path / "key"), trusted) == "her"


def test_one_changed_bit_is_found() -> None:
    error = refused(b"b lock\n", sign(DATA, key("release")))
    assert error.kind == "altered"
    assert str(error).startswith("it was changed after the key SHA256:")


def test_a_stranger_is_named_by_the_key_and_told_from_the_trusted() -> None:
    error = refused(DATA, sign(DATA, key("stranger")), "release", "deputy")
    fingerprint = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(key("stranger"))], capture_output=True, text=True, check=True
    ).stdout.split()[1]
    assert error.kind == "stranger"
    assert str(error) == f"it is signed by the key {fingerprint}, which is not one of release@bank, deputy@bank"


def test_a_signature_for_another_purpose_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_signature, "NAMESPACE", "file")
    signature = sign(DATA, key("release"))
    monkeypatch.undo()
    error = refused(DATA, signature)
    assert error.kind == "namespace"
    assert "is one for 'file', wanted is one for 'onprem-dify-bundle'" in str(error)


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        b"\xff",
        b"-----BEGIN PGP SIGNATURE-----\n-----END PGP SIGNATURE-----",
        b"-----BEGIN SSH SIGNATURE-----\n?\n-----END SSH SIGNATURE-----",
        b"-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----",
        b"-----BEGIN SSH SIGNATURE-----\n"
        + base64.b64encode(b"SSHSIG\x00\x00\x00\x01\xff\xff\xff\xff")
        + b"\n-----END SSH SIGNATURE-----",
    ],
)
def test_what_is_no_signature_is_refused(signature: bytes) -> None:
    error = refused(DATA, signature)
    assert error.kind == "altered"
    assert "is not one of ssh-keygen, or was cut off" in str(error)


def test_a_cut_off_signature_is_refused() -> None:
    whole = sign(DATA, key("release"))
    lines = whole.splitlines()
    assert refused(DATA, b"\n".join([*lines[:2], lines[-1]])).kind == "altered"


def test_a_signer_may_be_bound_to_purposes() -> None:
    signature = sign(DATA, key("release"))
    assert verify_by(DATA, signature, parse_signers([line(options='namespaces="git,onprem-dify-*"')])) == "release@bank"
    with pytest.raises(SignatureError) as error:
        verify_by(DATA, signature, parse_signers([line(options='namespaces="git"')]))
    assert error.value.kind == "stranger"


def test_lines_are_read_as_openssh_writes_them() -> None:
    lines = ["", "# a comment", "  ", line('"*@bank,her@bank"'), line("a,b", 'namespaces="onprem dify"')]
    assert [signer.name for signer in parse_signers(lines)] == ["*@bank,her@bank", "a,b"]
    assert verify_by(DATA, sign(DATA, key("release")), parse_signers(lines)) == "*@bank,her@bank"


@pytest.mark.parametrize(
    "option", ['valid-after="20260101"', 'VALID-BEFORE="20270101Z"', "cert-authority", 'namespaces="x",valid-after="1"']
)
def test_a_line_that_needs_a_right_clock_is_refused(option: str) -> None:
    with pytest.raises(SignatureError, match="needs a right clock, which a site cannot count on"):
        parse_signers([line(options=option)])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("release@bank", "has not the form"),
        ("ssh-ed25519 AAAA", "has not the form"),
        ("release@bank ssh-ed25519", "has not the form"),
        ("release@bank option", "has not the form"),
        (f"release@bank no-touch-required {'ssh-ed25519 AAAA'}", "unknown option no-touch-required"),
    ],
)
def test_a_line_of_another_form_is_refused(text: str, words: str) -> None:
    with pytest.raises(SignatureError, match=words):
        parse_signers([text])


def test_without_signers_nothing_is_trusted() -> None:
    with pytest.raises(SignatureError, match="no trusted signer is given"):
        parse_signers(["# none"])


def test_a_key_that_does_not_sign_is_named(tmp_path: Path) -> None:
    with pytest.raises(SignatureError, match=f"the key {tmp_path}/none does not sign: "):
        sign(DATA, tmp_path / "none")


def test_without_openssh_it_is_said_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    signature = sign(DATA, key("release"))
    monkeypatch.setenv("PATH", "/nowhere")
    error = refused(DATA, signature)
    assert error.kind == "tool"
    assert "ssh-keygen is missing" in str(error)
