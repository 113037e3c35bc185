"""Passwords as PostgreSQL keeps them."""

from __future__ import annotations

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import scram

# Of the password "pencil" with the salt of RFC 7677.
STORED = (
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)


def test_what_postgresql_stores_is_recognised() -> None:
    assert scram.matches("pencil", STORED)
    assert not scram.matches("pencils", STORED)


def test_what_is_made_is_recognised_and_never_the_same() -> None:
    first, second = scram.verifier("secret-of-dify"), scram.verifier("secret-of-dify")
    assert first != second
    assert scram.matches("secret-of-dify", first)
    assert scram.matches("secret-of-dify", second)


@pytest.mark.parametrize("stored", ["", "md5abc", "pencil", "SCRAM-SHA-256$4096:!$a:b", "SCRAM-SHA-256$1:YQ==$YQ==:"])
def test_anything_else_is_no_password(stored: str) -> None:
    assert not scram.matches("pencil", stored)


def test_a_password_that_clients_would_prepare_differently_is_refused() -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        scram.verifier("pässword")
