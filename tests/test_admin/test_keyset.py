"""Pages by key: forward and back they are the slices of one ordered list, however rows are equal."""

from datetime import timedelta
from typing import Any

import pytest
from django.core import signing
from django.test import Client

from durable_app import clock
from durable_app.admin.keyset import Cursor
from durable_app.models import Status, Workflow
from tests.test_admin.pages import LIST, made

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def pages_of_five(settings: Any) -> None:
    settings.DURABLE = {"ADMIN": {"PAGE_SIZE": 5}}


def links(response: Any) -> tuple[str, str]:
    cl = response.context_data["cl"]
    return cl.newer_url, cl.older_url


def pks(response: Any) -> list[int]:
    return [run.pk for run in response.context_data["cl"].result_list]


def walk(client: Client, url: str, way: str) -> list[list[int]]:
    """Return the pages from a link on, to the end."""
    pages = []
    while url:
        response: Any = client.get(url)
        assert response.status_code == 200
        pages.append(pks(response))
        link = getattr(response.context_data["cl"], f"{way}_url")
        url = LIST + link if link else ""
    return pages


def mixed() -> None:
    """Runs that ended at the same moment, that have not ended, and that run since the same moment."""
    now = clock.now()
    for number in range(23):
        made(finished_at=now - timedelta(seconds=number // 4))
    for number in range(12):
        made(Status.PENDING, started_at=now - timedelta(seconds=number // 5))


ORDERED = {
    "": lambda rows: rows.order_by("-pk"),
    "finished": lambda rows: rows.filter(finished_at__isnull=False).order_by("-finished_at", "-pk"),
    "longest": lambda rows: rows.filter(status="PENDING").order_by("started_at", "pk"),
}


@pytest.mark.parametrize("order", ORDERED)
def test_pages_forward_and_back_are_the_slices_of_the_ordered_list(boss: Client, order: str) -> None:
    """A11. With ties on both sides of a page's edge."""
    mixed()
    expected = list(ORDERED[order](Workflow.objects).values_list("pk", flat=True))
    slices = [expected[at : at + 5] for at in range(0, len(expected), 5)]
    forward = walk(boss, f"{LIST}?o={order}", "older")
    assert forward == slices

    url = f"{LIST}?o={order}"
    while link := links(boss.get(url))[1]:
        url = LIST + link
    back = walk(boss, url, "newer")
    assert back[0] == slices[-1]
    assert sorted({pk for page in back for pk in page}) == sorted(expected)
    assert [pk for page in reversed(back) for pk in page] == expected


def test_a_first_page_has_nothing_newer_and_a_last_one_nothing_older(boss: Client) -> None:
    """A3. Exactly one page, and exactly two."""
    for _ in range(5):
        made()
    assert links(boss.get(LIST)) == ("", "")
    for _ in range(5):
        made()
    newer, older = links(boss.get(LIST + links(boss.get(LIST))[1]))
    assert older == ""
    assert links(boss.get(LIST + newer))[0] == ""


def test_new_runs_do_not_move_older_pages(boss: Client) -> None:
    """A3. A page is found by its rows, not by their number."""
    for _ in range(12):
        made()
    link = LIST + links(boss.get(LIST))[1]
    before = pks(boss.get(link))
    made()
    assert pks(boss.get(link)) == before


def test_a_filter_leads_to_its_first_page_and_a_page_keeps_the_filter(boss: Client) -> None:
    """A11.1. The cursor is no condition."""
    for number in range(12):
        made(Status.ERROR if number % 2 else Status.SUCCESS)
    _newer, older = links(boss.get(LIST + "?status=ERROR"))
    assert "status=ERROR" in older
    response: Any = boss.get(LIST + older)
    cl = response.context_data["cl"]
    assert {run.status for run in cl.result_list} == {"ERROR"}
    assert all("cursor" not in choice["query_string"] for choice in cl.filter_specs[0].choices(cl))


def of_another_order() -> str:
    return Cursor(order="finished", is_forward=True, values=(clock.now(), 1)).text()


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "1",
        "%00",
        "é",
        "W10:abc",
        signing.Signer(salt="another").sign_object(["", True, [1]]),
        signing.Signer(salt="durable_app.keyset").sign_object(["", True, [1, 2, 3]]),
        signing.Signer(salt="durable_app.keyset").sign_object({"a": 1}),
        signing.Signer(salt="durable_app.keyset").sign_object(["", True, [{"at": "no time"}]]),
        signing.Signer(salt="durable_app.keyset").sign_object(["", True, [[1]]]),
        of_another_order(),
    ],
)
def test_a_wrong_cursor_is_400_and_never_500(boss: Client, cursor: str) -> None:
    """With a page that says so."""
    made()
    response = boss.get(LIST, {"cursor": cursor})
    assert response.status_code == 400
    assert b"This link does not work" in response.content


def test_an_unknown_order_is_400(boss: Client) -> None:
    """Whatever is wrong with it."""
    assert boss.get(LIST + "?o=name").status_code == 400
