"""The one clock: the database's time, carried on by a clock that nobody can set."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from durable_app import clock


@pytest.fixture(autouse=True)
def own_clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(clock, "_clock", clock._Clock())
    yield


def test_unsynchronized_it_tells_the_hosts_time() -> None:
    before = datetime.now(UTC)
    assert before <= clock.now() <= datetime.now(UTC)
    assert clock.is_stale()


def test_it_follows_the_database_and_not_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """296. Due times are compared with the database's clock: a host an hour wrong changes nothing."""
    boot = 1000.0
    monkeypatch.setattr(clock, "boot_seconds", lambda: boot)
    database_time = datetime(2030, 1, 1, tzinfo=UTC)
    clock.synchronize(database_time)
    assert clock.now() == database_time
    assert not clock.is_stale()

    monkeypatch.setattr(time, "time", lambda: 0.0)
    boot += 31.0
    assert clock.now() == database_time + timedelta(seconds=31)
    assert clock.is_stale()

    clock.synchronize(database_time + timedelta(hours=1))
    assert clock.now() == database_time + timedelta(hours=1)


def test_frozen_it_stands_until_it_is_moved() -> None:
    clock.freeze(datetime(2024, 1, 1, tzinfo=UTC))
    assert clock.is_frozen()
    clock.synchronize(datetime(2030, 1, 1, tzinfo=UTC))
    assert clock.now() == clock.now() == datetime(2024, 1, 1, tzinfo=UTC)
    clock.advance(timedelta(days=1))
    assert clock.now() == datetime(2024, 1, 2, tzinfo=UTC)
    clock.release()
    assert clock.now() >= datetime(2030, 1, 1, tzinfo=UTC)


def test_boot_seconds_never_run_backwards() -> None:
    seen = [clock.boot_seconds() for _ in range(100)]
    assert seen == sorted(seen)
