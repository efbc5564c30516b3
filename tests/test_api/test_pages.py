"""Answers are bounded: every list that grows is read page by page, forwards and backwards."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from durable_app import clock
from durable_app.models import AppVersion, Status
from tests.test_admin.pages import made, queue, schedule, worker
from tests.test_api.conftest import Api, problem

pytestmark = pytest.mark.django_db


def make_queues() -> None:
    for name in ("b", "d", "Ä", "a queue"):
        queue(name)
    made(Status.ENQUEUED, queue_name="only a run's")


def make_versions() -> None:
    now = clock.now()
    for number in range(5):
        at = now - timedelta(minutes=number // 2)  # some at the same time
        AppVersion.objects.create(name=f"v{number}", latest_at=at, created_at=now)


def make_workers() -> None:
    for number in range(5):
        worker(f"w{number}")


def make_schedules() -> None:
    for number in range(5):
        schedule(f"s{number}", "ACTIVE", None)


LISTS: dict[str, Callable[[], None]] = {
    "queues": make_queues,
    "versions": make_versions,
    "workers": make_workers,
    "schedules": make_schedules,
}


@pytest.mark.parametrize("name", LISTS)
def test_pages_make_up_the_list_in_both_directions(name: str, viewer: Api) -> None:
    """Nothing twice, nothing left out; the last page says that it is."""
    LISTS[name]()
    whole = viewer.get(f"/{name}").json()
    assert (whole["next"], whole["previous"]) == (None, None)
    names = [one["name"] for one in whole["results"]]
    assert len(names) >= 5

    pages: list[Any] = []
    cursor: dict[str, str] = {}
    while not pages or cursor:
        answer = viewer.get(f"/{name}", page_size=2, **cursor)
        pages.append(answer.json())
        cursor = {"cursor": pages[-1]["next"]} if pages[-1]["next"] else {}
        assert ('rel="next"' in answer.headers.get("Link", "")) is bool(cursor)
    assert [len(page["results"]) for page in pages[:-1]] == [2] * (len(pages) - 1)
    assert [one["name"] for page in pages for one in page["results"]] == names
    for before, page in zip(pages, pages[1:], strict=False):
        back = viewer.get(f"/{name}", page_size=2, cursor=page["previous"]).json()
        assert back["results"] == before["results"]


@pytest.mark.parametrize("name", LISTS)
def test_a_wrong_page_is_refused(name: str, viewer: Api) -> None:
    """Cursors of other lists, sizes beyond the bound, unknown parameters."""
    LISTS[name]()
    others = "workers" if name != "workers" else "schedules"
    LISTS[others]()
    foreign = viewer.get(f"/{others}", page_size=1).json()["next"]
    problem(viewer.get(f"/{name}", cursor=foreign), 400, "invalid-cursor")
    problem(viewer.get(f"/{name}", cursor="x"), 400, "invalid-cursor")
    for wrong in ({"page_size": 501}, {"page_size": 0}, {"surprise": 1}):
        problem(viewer.get(f"/{name}", **wrong), 400, "validation-error")
