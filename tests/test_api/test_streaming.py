"""Streams, progress and results as one bounded answer: JSON, or what WSGI makes of server-sent events."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.http import HttpRequest
from django.middleware.gzip import GZipMiddleware
from django.test import RequestFactory

from durable_app import serialization
from durable_app.api.bodies import Moment
from durable_app.engine.progress import Progress
from durable_app.models import Event, Status, StreamEntry, Workflow
from durable_app.store.progress import KEY
from tests.test_admin.pages import made, with_steps
from tests.test_api.conftest import problem


def entries(run: Workflow, *values: Any, key: str = "words", ends: bool = False) -> None:
    """Append to a run's stream as its writer would; ``ends`` closes it."""
    texts = [json.dumps(value) for value in values] + [None] * ends
    first = StreamEntry.objects.filter(workflow=run, key=key).count()
    for offset, text in enumerate(texts, first):
        StreamEntry.objects.create(
            workflow=run, key=key, offset=offset, value=text, position=1, written_at=run.created_at
        )


@pytest.mark.django_db
def test_a_page_of_a_stream(holder):
    """Values from an offset on, what comes next, whether anything will; secrets are not shown."""
    reader = holder("view_workflow", "view_payload")
    run = made(Status.PENDING)
    path = f"/workflows/{run.workflow_id}/streams/my words"
    assert reader.get(path).json() == {"entries": [], "next_offset": 0, "is_ended": False}
    entries(run, "a", {"token": "x", "n": 1}, "c", key="my words")
    assert reader.get(path, offset=1, limit=1).json() == {
        "entries": [{"offset": 1, "value": {"token": "•••", "n": 1}, "size": 22}],
        "next_offset": 2,
        "is_ended": False,
    }
    assert reader.get(path, offset=3).json() == {"entries": [], "next_offset": 3, "is_ended": False}
    entries(run, key="my words", ends=True)
    found = reader.get(path, offset=2).json()
    assert ([one["value"] for one in found["entries"]], found["next_offset"]) == (["c"], 3)
    assert found["is_ended"]
    for wrong in ({"offset": -1}, {"offset": "x"}, {"limit": 501}, {"ofset": 1}):
        problem(reader.get(path, **wrong), 400, "validation-error")


@pytest.mark.django_db
def test_the_streams_of_a_run(viewer):
    """30. By key, with how many values each has and whether it is closed; in pages."""
    run = made(Status.PENDING)
    path = f"/workflows/{run.workflow_id}/streams"
    assert viewer.get(path).json() == {"results": [], "next": None, "previous": None}
    entries(run, "a", "b", key="words", ends=True)
    entries(run, 1, key="numbers")
    entries(made(Status.PENDING), 1, key="another run's")
    first = viewer.get(path, page_size=1).json()
    at = Moment().to_representation(run.created_at)
    assert first["results"] == [{"key": "numbers", "entries": 1, "is_closed": False, "last_at": at}]
    second = viewer.get(path, page_size=1, cursor=first["next"]).json()
    assert second["results"] == [{"key": "words", "entries": 2, "is_closed": True, "last_at": at}]
    assert viewer.get(path, page_size=1, cursor=second["previous"]).json()["results"] == first["results"]
    problem(viewer.get("/workflows/no-such/streams"), 404, "run-not-found")


@pytest.mark.django_db
@pytest.mark.parametrize("tail", ["streams/words", "streams/words/sse", "progress/sse", "result"])
def test_who_may_follow_a_run(tail, holder, anonymous, viewer):
    """A run that is not there 404; without the permission 403; HEAD and POST are not there at all."""
    run = made(Status.SUCCESS)
    path, nowhere = f"/workflows/{run.workflow_id}/{tail}", f"/workflows/no-such/{tail}"
    problem(anonymous.get(path), 403, "not-authenticated")
    reader = holder("view_workflow", "view_payload", name="reader")
    problem(holder("view_queue", name="other").get(path), 403, "permission-denied")
    if tail != "progress/sse":
        problem(viewer.get(path), 403, "permission-denied")
        problem(holder("view_payload", name="half").get(path), 404, "run-not-found")
    problem(reader.get(nowhere), 404, "run-not-found")
    problem(reader.get(path, surprise=1), 400, "validation-error")
    problem(reader.post(path), 405, "method-not-allowed")
    assert reader.get(path).status_code == 200


@pytest.mark.django_db
def test_a_stream_as_events_under_wsgi(holder):
    """One bounded batch, then the browser comes again with the last id: nothing twice, nothing left out."""
    reader = holder("view_workflow", "view_payload").client
    run = made(Status.PENDING)
    path = f"/api/durable/v1/workflows/{run.workflow_id}/streams/words/sse"
    empty = reader.get(path)
    assert empty.content.decode() == "retry: 2000\n\n: ping\n\n"
    assert empty.headers["Content-Type"] == "text/event-stream"
    assert empty.headers["Cache-Control"] == "no-cache"
    assert empty.headers["X-Accel-Buffering"] == "no"
    entries(run, "a", "line\nline", {"password": "x"})
    assert reader.get(path).content.decode() == (
        'retry: 2000\n\nid: 0\ndata: "a"\n\nid: 1\ndata: "line\\nline"\n\n'
        'id: 2\ndata: {"password": "\\u2022\\u2022\\u2022"}\n\n'
    )
    later = reader.get(path, headers={"Last-Event-ID": "1"}).content.decode()
    assert [line for line in later.splitlines() if line.startswith("id")] == ["id: 2"]
    assert "id: 1\n" in reader.get(f"{path}?offset=1").content.decode()
    assert "id: 0\n" in reader.get(path, headers={"Last-Event-ID": "nonsense"}).content.decode()
    entries(run, ends=True)
    end = reader.get(path, headers={"Last-Event-ID": "2"}).content.decode()
    assert end == 'retry: 2000\n\nid: end\nevent: end\ndata: {"reason": "closed"}\n\n'
    again = reader.get(path, headers={"Last-Event-ID": "end"})
    assert (again.status_code, again.content) == (204, b"")


@pytest.mark.django_db
def test_progress_as_events_under_wsgi(viewer):
    """Status, last step and report; the end follows the state of a run that has ended."""
    run = with_steps(made(Status.PENDING), "charge", "ship")
    report = Progress(done=3, total=4, message="three", at=datetime(2031, 1, 1, tzinfo=UTC))
    Event.objects.create(workflow=run, key=KEY, value=serialization.encode(report), updated_at=run.created_at)
    path = f"/workflows/{run.workflow_id}/progress/sse"
    lines = viewer.get(path).content.decode().splitlines()
    assert lines[2] == "event: progress"
    assert json.loads(lines[3].removeprefix("data: ")) == {
        "status": "PENDING",
        "is_finished": False,
        "waiting_for": "",
        "last_step": {"step_id": 2, "name": "ship"},
        "progress": {
            "done": 3,
            "total": 4,
            "share": 0.75,
            "message": "three",
            "at": "2031-01-01T00:00:00+00:00",
        },
    }
    ended = viewer.get(f"/workflows/{made(Status.ERROR).workflow_id}/progress/sse").content.decode()
    assert '"progress": null' in ended
    assert ended.endswith('id: end\nevent: end\ndata: {"reason": "ERROR"}\n\n')


@pytest.mark.django_db
def test_the_result_of_a_run(holder):
    """200 with the value, 202 while there is none, 409 with the error if there will be none."""
    reader = holder("view_workflow", "view_payload")
    done = made(Status.SUCCESS, output='{"paid": 3, "card_number": "4111"}')
    assert reader.get(f"/workflows/{done.workflow_id}/result", wait=20).json() == {
        "workflow_id": done.workflow_id,
        "is_finished": True,
        "result": {"paid": 3, "card_number": "•••"},
    }
    active = made(Status.PENDING)
    pending = reader.get(f"/workflows/{active.workflow_id}/result")
    assert (pending.status_code, pending.headers["Retry-After"]) == (202, "2")
    assert pending.json() == {"workflow_id": active.workflow_id, "is_finished": False}
    failed = problem(reader.get(f"/workflows/{made(Status.ERROR).workflow_id}/result"), 409, "run-failed")
    assert failed["run_status"] == "ERROR"
    assert failed["error"] == {"type": "shop.Declined", "message": "no money"}
    cancelled = reader.get(f"/workflows/{made(Status.CANCELLED).workflow_id}/result")
    assert problem(cancelled, 409, "run-failed")["error"] is None
    for wait in (31, -1, "soon"):
        problem(reader.get(f"/workflows/{active.workflow_id}/result", wait=wait), 400, "validation-error")


@pytest.mark.django_db
def test_events_are_not_compressed(viewer):
    """A middleware that compresses would keep events back until there are many."""
    path = f"/api/durable/v1/workflows/{made(Status.PENDING).workflow_id}/progress/sse"
    response = viewer.client.get(path)

    def answered(request: HttpRequest) -> Any:
        response.content *= 20
        return response

    request = RequestFactory().get(path, headers={"Accept-Encoding": "gzip"})
    passed: Any = GZipMiddleware(answered)(request)
    assert b"event: progress" in passed.content
