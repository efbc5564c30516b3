"""What a message says after a verb."""

from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client

from durable_app.admin import told
from durable_app.control.operator import Result
from durable_app.models import Status
from tests.test_admin.pages import LIST, made, queue, verb_page, worker


def results(*outcomes: str) -> list[Result]:
    return [
        Result(target=f"r{number}", outcome=one, detail="" if one == "done" else f"It {one}.")
        for number, one in enumerate(outcomes)
    ]


def test_many_are_counted_and_each_reason_is_said_once() -> None:
    """A3. What was done in one sentence; what was skipped apart from what failed."""
    found = results("done", "done", "refused", "refused", "denied", "failed")
    assert told.done(found, "cancelled") == "2 runs were cancelled."
    assert list(told.left(found)) == [
        "2 runs were skipped: It refused.",
        "1 run was skipped: It denied.",
        "With 1 run it failed: It failed.",
    ]
    assert told.done(results("done", "failed"), "cancelled") == "1 run was cancelled."
    assert told.done(results("failed", "failed"), "cancelled") == told.done([], "cancelled") == ""


def test_one_is_called_by_its_name() -> None:
    """A3. By its id, or as people know it."""
    assert told.done(results("done"), "paused") == "“r0” was paused."
    assert told.done(results("done"), "asked to stop", "web-1") == "web-1 was asked to stop."
    assert list(told.left(results("refused"))) == ["“r0”: It refused."]
    assert list(told.left(results("refused"), "web-1")) == ["web-1: It refused."]
    assert list(told.left(results("done"))) == []


@pytest.mark.django_db
def test_every_surface_of_the_admin_says_a_sentence(boss: Client) -> None:
    """A3, A6, A7, A8. Of runs, of bulk operations, of queues and of workers."""
    run = made(Status.ENQUEUED, workflow_id="order-8")
    queue("told-mail")
    worker("told-web", pk="w-1")
    done: dict[str, tuple[str, dict[str, Any]]] = {
        "“order-8” was cancelled.": (verb_page(run, "cancel"), {}),
        "A bulk operation was started.": (f"{LIST}bulk/delete/", {}),
        "“told-mail” was paused.": ("/admin/durable_app/queue/told-mail/verb/pause/", {}),
        "Worker told-web was asked to take no more runs.": ("/admin/durable_app/worker/w-1/verb/quiet/", {}),
    }
    for sentence, (url, data) in done.items():
        response: Any = boss.post(url, data, follow=True)
        [message] = get_messages(response.wsgi_request)
        assert str(message) == sentence, url
