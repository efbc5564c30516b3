"""Pauses between tries."""

import math
from typing import Any

import pytest

from durable_app import InvalidOptionError, StepOptions
from durable_app.retry import LONGEST_PAUSE, Retry


def test_the_pause_grows_by_the_rate_up_to_an_hour() -> None:
    """49. interval * backoff ** attempt, capped at 3600 seconds."""
    retry = Retry(max_attempts=5, interval=0.5, backoff=3.0)
    assert [retry.delay_before(attempt) for attempt in (2, 3, 4)] == [0.5, 1.5, 4.5]
    assert LONGEST_PAUSE == 3600
    assert retry.delay_before(50) == 3600
    assert retry.delay_before(10_000) == 3600  # beyond what a float holds
    assert Retry(interval=0.0).delay_before(10_000) in (0.0, 3600)
    assert Retry(interval=8.0, backoff=0.5).delay_before(4) == 2.0
    assert Retry(interval=7200.0).delay_before(2) == 3600


def test_no_pause_grows_shorter_before_the_cap() -> None:
    """49. With a rate of one or more, pauses never shrink and never pass the cap."""
    for rate in (1.0, 1.1, 2.0, 10.0):
        pauses = [Retry(interval=0.1, backoff=rate).delay_before(n) for n in range(2, 400)]
        assert pauses == sorted(pauses)
        assert max(pauses) <= 3600
        assert pauses[0] == 0.1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_attempts": 0}, "max_attempts is a whole number and must be at least 1, not 0"),
        ({"interval_seconds": -1}, "interval_seconds must be zero or more"),
        ({"interval_seconds": math.inf}, "interval_seconds"),
        ({"interval_seconds": math.nan}, "interval_seconds"),
        ({"backoff_rate": 0}, "backoff_rate must be above zero"),
        ({"backoff_rate": math.nan}, "backoff_rate"),
    ],
    ids=str,
)
def test_values_out_of_range_are_refused(given: dict[str, Any], message: str) -> None:
    """49. At decoration, retries allowed or not."""
    with pytest.raises(InvalidOptionError, match=message):
        StepOptions(**given)
    with pytest.raises(InvalidOptionError, match=message):
        StepOptions(retries_allowed=True, **given)
