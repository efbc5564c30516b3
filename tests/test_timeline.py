"""A run drawn as a timeline: what belongs to a step is drawn into its row, and nowhere else."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from durable_app.insight.timeline import timeline

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def run() -> Any:
    return SimpleNamespace(
        workflow_id="w",
        name="shop.checkout",
        status="SUCCESS",
        waiting_for="",
        created_at=START,
        started_at=at(0),
        finished_at=at(60),
        forked_from=None,
    )


def row(place: str, name: str, begins: float, ends: float, **values: Any) -> Any:
    number, _, branch = place.partition(".")
    given = {"error": None, "child_workflow_id": None, "tries": 1, "attempt": 1, **values}
    return SimpleNamespace(
        position=int(number), branch=branch, name=name, started_at=at(begins), finished_at=at(ends), **given
    )


@pytest.mark.parametrize("place", ["1", "3.2.1", "1.0.1"])
def test_the_failed_tries_of_a_step_are_pauses_in_its_row(place: str) -> None:
    """49. In the trunk, in a branch, and below a registration: no rows of their own."""
    steps = [
        row(place, "pay", 0, 40, tries=3),
        row(f"{place}.0.1", "durable.retry", 5, 10, error="{}"),
        row(f"{place}.0.2", "durable.retry", 15, 30, error="{}"),
        row("9", "ship", 40, 60),
    ]
    drawn = timeline(run(), steps, {}, at(60))
    assert [one.label for one in drawn.rows] == ["shop.checkout", "pay", "ship"]
    pauses = [one for one in drawn.rows[1].segments if one.title == "back-off"]
    assert [round(one.start * 60) for one in pauses] == [5, 15]
    assert drawn.failures == 0


def test_what_undoes_a_step_has_a_row_and_a_wait_s_deadline_has_none() -> None:
    """148, 171. A deadline stands behind a receive, or below a reading of a stream."""
    steps = [
        row("1", "durable.compensate", 0, 1),
        row("1.0.1", "refund", 50, 60),
        row("2", "durable.recv", 1, 10),
        row("3", "durable.sleep", 1, 20),
        row("4", "durable.readStream", 10, 20),
        row("4.0.1", "durable.sleep", 11, 30),
        row("5", "durable.sleep", 20, 50),
    ]
    drawn = timeline(run(), steps, {}, at(60))
    labels = ["durable.compensate", "refund", "durable.recv", "durable.readStream", "durable.sleep"]
    assert [one.label for one in drawn.rows[1:]] == labels
    assert [one.step_id for one in drawn.rows[1:]] == ["1", "1.0.1", "2", "4", "5"]


def test_a_wait_is_drawn_from_what_came_before_it() -> None:
    """A run that parked looks once more when it is woken: only that look is recorded."""
    steps = [
        row("1", "ask", 0, 5),
        row("2", "durable.recv", 39, 40),
        row("3", "durable.sleep", 5, 50),
        row("4", "ship", 41, 45),
        row("5", "durable.getResult", 58, 59),
    ]
    drawn = timeline(run(), steps, {}, at(60))
    spans = [(one.label, one.started_at, one.finished_at) for one in drawn.rows[1:]]
    assert spans == [
        ("ask", at(0), at(5)),
        ("durable.recv", at(5), at(40)),
        ("ship", at(41), at(45)),
        ("durable.getResult", at(45), at(59)),
    ]
