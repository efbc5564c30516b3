"""What refreshes a list: its rows alone, by the same URL."""

from typing import Any

import pytest
from django.test import Client

from durable_app import clock
from durable_app.control.actors import Actor
from durable_app.control.operator import Operator
from durable_app.models import Approval, BulkOperation, Status
from tests.test_admin.pages import inspected, made, queue, schedule, worker

pytestmark = pytest.mark.django_db

ROWS = {"X-Durable-Fragment": "list"}

LISTS = {
    "auditevent": "live-audited",
    "approval": "live-question",
    "bulkoperation": "live-bulk",
    "queue": "live-queue",
    "schedule": "live-schedule",
    "worker": "live-worker",
    "workflow": "live-run",
}
"""The lists that refresh, and what a row of each says."""


@pytest.fixture
def rows() -> None:
    """Write a row of each kind."""
    run = made(Status.WAITING, workflow_id="live-run")
    Approval.objects.create(workflow=run, position=1, title="live-question", created_at=clock.now())
    Operator(actor=Actor.at_terminal("me"), reason="live-audited").deny("cancel", "live-audited")
    BulkOperation.objects.create(
        workflow_id="live-operation", verb="cancel", filter={"name": ["live-bulk"]}, newest_run=1, matched=1,
        actor_kind="cli", actor_label="me", created_at=clock.now(),
    )  # fmt: skip
    queue("live-queue")
    schedule("live-schedule", "ACTIVE", clock.now())
    worker("live-worker")


def regions(page: Any) -> list[str]:
    elements = inspected(page).elements
    return [attrs["data-durable-region"] for _tag, attrs in elements if "data-durable-region" in attrs]


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("name", LISTS)
def test_every_list_says_what_of_it_is_renewed_and_sends_it_alone(boss: Client, name: str) -> None:
    """A3, live. One region, one choice of seconds; the fragment has the rows and nothing around them."""
    url = f"/admin/durable_app/{name}/"
    whole = boss.get(url)
    [region] = regions(whole)
    assert whole.content.count(b"data-durable-live") == 1
    part = boss.get(url, headers={"X-Durable-Fragment": region})
    assert part.status_code == 200
    assert LISTS[name].encode() in part.content
    for around in (b"<html", b"data-durable-region", b"searchbar", b"changelist-form"):
        assert around not in part.content
    assert "no-store" in part.headers["Cache-Control"]
    inspected(part)


@pytest.mark.parametrize("name", LISTS)
def test_rows_are_for_those_who_may_see_the_list(viewer: Client, boss: Client, name: str) -> None:
    """A9. What is wrong with a link is said in the fragment's answer as in the page's."""
    url = f"/admin/durable_app/{name}/"
    if name != "workflow":
        assert viewer.get(url, headers=ROWS).status_code == 403
    assert boss.get(f"{url}?cursor=x", headers=ROWS).status_code in (200, 400)
    assert Client().get(url, headers=ROWS).status_code == 302


def test_a_list_without_rows_says_so(boss: Client) -> None:
    """Each in its words, once."""
    for name in ("auditevent", "bulkoperation", "schedule", "worker", "approval", "workflow"):
        text = boss.get(f"/admin/durable_app/{name}/").content.decode()
        assert text.count("durable-panel is-quiet") == 1, name
