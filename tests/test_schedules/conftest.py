"""A clock that the tests move, and schedules that nobody declares by accident."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from durable_app import clock
from durable_app.registry import registry
from durable_app.store import ticks

NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)

Fire = Callable[..., list[str]]


@pytest.fixture
def noon() -> Iterator[datetime]:
    """Stop the clock at noon."""
    clock.freeze(NOON)
    yield NOON
    clock.release()


@pytest.fixture
def fire(noon: datetime) -> Fire:
    """Return a function that moves the clock on, fires what is due, and returns the ids of what started."""

    def fire(**span: float) -> list[str]:
        clock.advance(timedelta(**span))
        started: list[str] = []
        while names := ticks.due():
            for name in names:
                started += [tick.workflow_id for tick in ticks.fire(name) if tick.started]
        return started

    return fire


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the test begin with no declarations, and take its own with it."""
    monkeypatch.setattr(registry, "schedules", {})
