"""What runs wait for, asked for on every surface: the engine's own words, and places in the line."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from durable_app import (
    InvalidOptionError,
    SetWorkflowID,
    get_event,
    get_result,
    list_workflows,
    read_stream,
    recv,
    sleep,
    start_workflow,
    workflow,
)
from durable_app.models import Status, Workflow
from durable_app.store import listing, waits
from durable_app.worker.worker import Worker
from tests.helpers import wait_until
from tests.test_admin.pages import LIST, made
from tests.test_api.conftest import Api, problem
from tests.test_commands.keyboard import durable


@workflow(name="waiting_for.message")
def for_message() -> Any:
    return recv("paid", 600)


@workflow(name="waiting_for.event")
def for_event() -> Any:
    return get_event("wants sleep", "ready", 600)


@workflow(name="waiting_for.sleep")
def for_sleep() -> None:
    sleep(600)


@workflow(name="waiting_for.result")
def for_result() -> Any:
    return get_result("wants sleep")


@workflow(name="waiting_for.stream")
def for_stream() -> Any:
    return list(read_stream("wants sleep", "words"))


BODIES: dict[str, Callable[[], Any]] = {
    "sleep": for_sleep,  # the others look at it
    "message": for_message,
    "event": for_event,
    "result": for_result,
    "stream": for_stream,
}


def waiting_for(*kinds: str) -> set[str]:
    return {run.workflow_id for run in list_workflows(waiting_for=list(kinds))}


@pytest.mark.django_db(transaction=True)
def test_what_the_engine_parks_is_found_by_its_kind(settings: Any) -> None:
    """Rows as they are written by parking; of several kinds each is found."""
    settings.DURABLE = {"PARK_AFTER": timedelta(seconds=0)}
    with Worker(threads=5):
        for kind, body in BODIES.items():
            with SetWorkflowID(f"wants {kind}"):
                start_workflow(body)
        wait_until(lambda: Workflow.objects.filter(status=Status.WAITING).count() == len(BODIES))
    with SetWorkflowID("wants queue"):
        start_workflow(for_sleep)
    for kind in (*BODIES, "queue"):
        also = {"wants stream"} if kind == "result" else set()  # its writer's end would end it, too
        assert waiting_for(kind) == {f"wants {kind}"} | also, kind
    assert waiting_for("sleep", "queue") == {"wants sleep", "wants queue"}


@pytest.fixture
def boss(db: None) -> Client:
    """Return the browser of somebody who may do everything."""
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    return client


@pytest.fixture
def lot(db: None) -> dict[str, Workflow]:
    """Return a run for every kind, and some that wait for nothing of the sort."""
    found = {kind: made(Status.WAITING, waiting_for=f"{kind} x") for kind in listing.NEWS}
    found["approval"] = made(Status.WAITING, waiting_for="approval 7: Refund, message to follow")
    found["sleep"] = made(Status.WAITING, waiting_for="sleep")
    found["queue"], found["delay"] = made(Status.ENQUEUED), made(Status.DELAYED)
    found["code"] = made(Status.PENDING, workflow_id="blocked")
    waits.block(found["code"].pk, 1, "blocked", "step 1 was recorded as message x, but …")
    made(Status.PENDING)
    made(Status.SUCCESS, waiting_for="message x")
    return found


def test_each_kind_is_found_on_every_surface(lot: dict[str, Workflow], operator: Api, boss: Client) -> None:
    """One filter: list, REST and its search, command, admin's filter and its search word."""
    assert lot.keys() == listing.KINDS
    for kind, run in lot.items():
        expected = [run.workflow_id]
        assert [one.workflow_id for one in list_workflows(waiting_for=kind)] == expected
        answers = [
            operator.get("/workflows", waiting_for=kind),
            operator.post("/workflows/search", {"waiting_for": [kind]}),
        ]
        for answer in answers:
            assert [one["id"] for one in answer.json()["results"]] == expected
        assert durable("run", "list", "--waiting-for", kind, "-o", "ids").lines == expected
        for query in ({"waiting": kind}, {"q": f"waiting:{kind}"}):
            page: Any = boss.get(LIST, {**query, "window": "all"})
            assert [row.workflow_id for row in page.context_data["cl"].result_list] == expected


def test_an_unknown_kind_is_refused(operator: Api, boss: Client) -> None:
    """A filter that is passed over would turn "cancel these" into "cancel all"."""
    with pytest.raises(InvalidOptionError, match=r"waiting_for 'luck' is none of approval, code, delay"):
        list_workflows(waiting_for="luck")
    problem(operator.get("/workflows", waiting_for="luck"), 400, "validation-error")
    assert durable("run", "list", "--waiting-for", "luck").code != 0
    page: Any = boss.get(LIST, {"waiting": "luck"}, follow=True)
    assert not getattr(page.context_data.get("cl"), "result_list", [])
    assert list_workflows(waiting_for=[]) == []
