"""What a person reads while a bundle is built."""

from __future__ import annotations

import pytest

from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_progress import Meter, clock_time, size


def test_a_line_says_bytes_rate_and_time_left() -> None:
    now = [0.0]
    meter = Meter(clock=lambda: now[0])
    meter.want(300 << 20)
    meter.have(100 << 20)
    meter.count(20 << 20)
    now[0] = 10.0
    assert meter.line() == "120 MiB of 300 MiB, 2.0 MiB/s, 1:30 left"


def test_what_needed_no_transfer_does_not_make_the_rate_better() -> None:
    now = [0.0]
    meter = Meter(clock=lambda: now[0])
    meter.want(1000)
    meter.have(1000)
    now[0] = 5.0
    assert meter.line() == "1000 B of 1000 B, 0 B/s"


def test_the_rate_is_that_of_the_last_half_minute() -> None:
    now = [0.0]
    meter = Meter(clock=lambda: now[0])
    meter.want(1 << 30)
    for second in range(1, 121):
        now[0] = float(second)
        meter.count(4 << 20 if second <= 60 else 1 << 20)
        line = meter.line()
    assert "1.0 MiB/s" in line


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (150 << 20, "150 MiB"), (5 << 40, "5.0 TiB")]
)
def test_sizes(count: int, words: str) -> None:
    assert size(count) == words


@pytest.mark.parametrize(("seconds", "words"), [(5, "0:05"), (98.4, "1:38"), (3725, "1:02:05")])
def test_times(seconds: float, words: str) -> None:
    assert clock_time(seconds) == words
