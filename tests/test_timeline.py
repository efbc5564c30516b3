"""A run drawn as a timeline: what belongs to a step is drawn into its row, and nowhere else."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from durable_app.insight.timeline import timeline

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def run(**values: Any) -> Any:
    usual = {
        "workflow_id": "w",
        "name": "shop.checkout",
        "status": "SUCCESS",
        "waiting_for": "",
        "created_at": START,
        "enqueued_at": START,
        "started_at": at(0),
        "finished_at": at(60),
        "updated_at": at(60),
        "forked_from": None,
    }
    return SimpleNamespace(**{**usual, **values})


def pieces(drawn: Any) -> list[tuple[str, float, float]]:
    """Return the bars of the run's own row, where each begins and ends."""
    bars = [one for one in drawn.rows[0].segments if one.width > 0]
    return [(one.kind, round(one.start, 2), round(one.start + one.width, 2)) for one in bars]


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


WAITING = {"status": "WAITING", "waiting_for": "approval 7: Refund order 1", "finished_at": None}

ASKED = [
    row("1", "look", 0, 10),
    row("2", "durable.askForApproval", 10, 11),
    row("4", "durable.sleep", 11, 3600),  # the deadline of the receive at 3, which is not recorded yet
]


def test_a_run_that_waits_for_an_answer_waits_since_it_asked() -> None:
    """Its deadline is no step that is done, and growing; the run itself does not run meanwhile."""
    drawn = timeline(run(**WAITING), ASKED, {}, at(20))
    rows = [(one.label, one.state, one.started_at, one.finished_at) for one in drawn.rows[2:]]
    assert rows == [
        ("durable.askForApproval", "done", at(10), at(11)),
        ("approval 7: Refund order 1", "waiting", at(11), None),
    ]
    assert pieces(drawn) == [("running", 0, 0.55), ("waiting", 0.55, 1)]
    assert timeline(run(**WAITING), ASKED, {}, at(30)).rows[3].started_at == at(11)


def test_a_wait_that_was_ended_by_a_cancellation_is_drawn_until_then() -> None:
    """A cancellation takes the time of the first start away; the first step tells it."""
    cancelled = run(status="CANCELLED", finished_at=at(20), started_at=None)
    drawn = timeline(cancelled, ASKED, {}, at(500))
    assert [(one.label, one.state, one.finished_at) for one in drawn.rows[3:]] == [
        ("waiting", "waiting", at(20))
    ]
    assert pieces(drawn) == [("failed", 0, 0.55), ("waiting", 0.55, 1)]


@pytest.mark.parametrize("status", ["WAITING", "PENDING"])
def test_a_sleep_that_is_not_over_is_a_wait(status: str) -> None:
    """Parked or not: it is no step that is done."""
    words = "sleep" if status == "WAITING" else ""
    steps = [row("1", "look", 0, 10), row("2", "durable.sleep", 10, 500)]
    drawn = timeline(run(status=status, waiting_for=words, finished_at=None), steps, {}, at(20))
    assert [(one.label, one.state, one.finished_at) for one in drawn.rows[2:]] == [
        ("durable.sleep", "waiting", None)
    ]
    assert pieces(drawn) == [("running", 0, 0.5), ("waiting", 0.5, 1)]


def test_a_page_that_begins_with_a_sleep_shows_it() -> None:
    """What stands before it is on the page before."""
    steps = [row("101", "durable.sleep", 10, 500)]
    drawn = timeline(run(status="WAITING", waiting_for="sleep", finished_at=None), steps, {}, at(20))
    assert [(one.step_id, one.state) for one in drawn.rows[1:]] == [("101", "waiting")]


def test_deadlines_in_branches_are_no_steps_either() -> None:
    """171. A branch counts its own operations."""
    parked = {**WAITING, "waiting_for": "message a, message b"}
    steps = [
        row("1.1.1", "durable.recv", 0, 5),
        row("1.1.2", "durable.sleep", 0, 50),
        row("1.1.3", "pack", 5, 6),
        row("1.1.5", "durable.sleep", 6, 50),
        row("1.2.2", "durable.sleep", 4, 50),
    ]
    drawn = timeline(run(**parked), steps, {}, at(20))
    found = [(one.step_id, one.label, one.started_at) for one in drawn.rows[1:]]
    assert found == [
        ("1.1.1", "durable.recv", at(0)),
        ("1.1.3", "pack", at(5)),
        ("", "message a, message b", at(4)),
    ]


def test_what_runs_now_is_not_drawn_short_and_what_was_woken_is_in_the_queue() -> None:
    """Only idle stretches are squeezed; a queue is told of since the run stands in it."""
    drawn = timeline(run(status="PENDING", finished_at=None), [row("1", "look", 0, 1)], {}, at(600))
    assert drawn.squeezed is None
    assert (drawn.rows[-1].label, drawn.rows[-1].started_at) == ("running", at(1))
    new = run(status="ENQUEUED", started_at=None, finished_at=None)
    drawn = timeline(new, [], {}, at(600))
    assert drawn.squeezed is None
    assert pieces(drawn) == [("queued", 0, 1)]
    again = run(status="ENQUEUED", enqueued_at=at(50), finished_at=None)
    drawn = timeline(again, [row("1", "look", 0, 40)], {}, at(60))
    assert (drawn.rows[-1].label, drawn.rows[-1].started_at) == ("in the queue", at(50))
    assert [kind for kind, _start, _end in pieces(drawn)] == ["running", "queued"]


def test_tries_that_failed_before_a_pause_are_told_of() -> None:
    """49. Their step is not recorded yet."""
    failed = [
        row("1.0.1", "durable.retry", 5, 65, error="{}"),
        row("1.0.2", "durable.retry", 5, 65, error="{}"),
    ]
    parked = run(status="WAITING", waiting_for="sleep", finished_at=None)
    drawn = timeline(parked, failed, {}, at(20))
    assert [(one.label, one.state, one.started_at) for one in drawn.rows[1:]] == [
        ("try 3 of a step", "waiting", at(5))
    ]


def test_a_child_that_waits_is_not_drawn_as_running() -> None:
    """All of its row that is known: since when it stands as it stands."""
    child = run(**WAITING, created_at=at(10), started_at=at(10), updated_at=at(30))
    steps = [row("1", "child", 9, 10, child_workflow_id="w")]
    parent = run(status="WAITING", waiting_for="result w", finished_at=None)
    drawn = timeline(parent, steps, {"w": child}, at(100))
    kinds = [(one.kind, one.start < one.start + one.width) for one in drawn.rows[2].segments[1:]]
    assert kinds == [("running", True), ("waiting", True)]
    assert (drawn.rows[3].label, drawn.rows[3].started_at) == ("result w", at(10))


@pytest.mark.parametrize("waited", [1, 5, 60, 774, 90_000])
def test_labels_of_the_axis_keep_a_distance(waited: float) -> None:
    """The last one tells how long it all took; whoever stands in its way is left out."""
    steps = [row("1", "look", 0, 0.952)]
    drawn = timeline(run(status="WAITING", waiting_for="sleep", finished_at=None), steps, {}, at(waited))
    places = [place for place, _label in drawn.ticks]
    assert (places[0], places[-1]) == (0, 1)
    widths = [len(label) * 0.012 for _place, label in drawn.ticks]
    right = places[-1] - widths[-1]
    for place, width in list(zip(places, widths, strict=True))[1:-1]:
        assert place + width / 2 < right
