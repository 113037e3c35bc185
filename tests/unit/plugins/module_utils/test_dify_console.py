"""The first administrator: created once, through the gate, and seen to log in."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.module_utils.dify_console import Answer, ConsoleError, is_set_up, set_up

ADMINISTRATOR = {"email": "admin@bank.internal", "name": "Administrator", "password": "one-of-the-test"}
CREATED = {"/init": Answer(201, {}), "/setup": Answer(201, {}), "/login": Answer(200, {})}


class Conversation:
    """Answers by path, and what was asked. A path that is asked without a body says whether all is set up."""

    def __init__(self, step: str, **answers: Answer) -> None:
        self.step = step
        self.answers = {**CREATED, **{f"/{path}": answer for path, answer in answers.items()}}
        self.asked: list[tuple[str, Any]] = []

    def __call__(self, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        self.asked.append((path, body))
        return Answer(200, {"step": self.step}) if body is None else self.answers[path]


@pytest.mark.parametrize(("step", "done"), [("finished", True), ("not_started", False)])
def test_dify_says_whether_it_is_set_up(step: str, done: bool) -> None:
    assert is_set_up(Conversation(step)) is done


def test_another_answer_is_not_taken_for_one() -> None:
    with pytest.raises(ConsoleError, match=r"/console/api/setup answers 200 \(soon\), wanted: step not_started or fin"):
        is_set_up(Conversation("soon"))


def test_the_gate_comes_before_the_setup_and_a_login_behind_it() -> None:
    dify = Conversation("finished")
    set_up(dify, "gate", ADMINISTRATOR)
    assert dify.asked[:2] == [("/init", {"password": "gate"}), ("/setup", ADMINISTRATOR)]
    path, body = dify.asked[-1]
    assert path == "/login"
    assert base64.b64decode(body["password"]).decode() == ADMINISTRATOR["password"]


@pytest.mark.parametrize(
    ("step", "answers", "said"),
    [
        (
            "finished",
            {"init": Answer(401, {"code": "init_validate_failed"})},
            r"/init answers 401 \(init_validate_failed\)",
        ),
        ("finished", {"setup": Answer(403, {"code": "already_setup"})}, r"/setup answers 403 \(already_setup\)"),
        ("not_started", {}, "/setup says not_started after the setup"),
        ("finished", {"login": Answer(401, {})}, "/login answers 401 .* for the administrator that was just created"),
    ],
)
def test_what_dify_refuses_is_said_without_a_password(step: str, answers: dict[str, Answer], said: str) -> None:
    with pytest.raises(ConsoleError, match=said) as raised:
        set_up(Conversation(step, **answers), "gate", ADMINISTRATOR)
    assert ADMINISTRATOR["password"] not in str(raised.value)
