"""A long reading says how far it is, a short one says nothing."""

from __future__ import annotations

from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_report import Lines


def test_a_line_every_few_seconds_with_rate_and_time_left() -> None:
    clock, said = [0.0], list[str]()
    lines = Lines(said.append, lambda: clock[0])
    for second in range(13):
        clock[0] = float(second)
        lines(second << 20, 100 << 20)
    assert said == ["5.0 MiB of 100 MiB, 1.0 MiB/s, 1:35 left", "10.0 MiB of 100 MiB, 1.0 MiB/s, 1:30 left"]


def test_before_the_first_byte_there_is_no_rate() -> None:
    clock, said = [0.0], list[str]()
    lines = Lines(said.append, lambda: clock[0])
    clock[0] = 60.0
    lines(0, 100)
    assert said == []
