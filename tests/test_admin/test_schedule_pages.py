"""Schedules: the list with its history, the page, and what the code declares."""

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from durable_app import clock
from durable_app.models import AuditEvent, Schedule, Status
from durable_app.registry import DeclaredSchedule, ScheduleDefinition, registry
from tests.test_admin.pages import inspected, made, page_of
from tests.test_admin.schedules import (
    EVERYTHING,
    HOSTILE,
    LIST,
    at,
    chimed,
    listed,
    of,
    saved,
    scheduled_row,
    verb,
)
from tests.test_admin.test_list import reads

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, DeclaredSchedule]]:
    """Let no test declare a schedule for another."""
    monkeypatch.setattr(registry, "schedules", {})
    yield registry.schedules


# the list


def test_the_list_shows_history_and_what_comes_in_few_queries(staff: Any) -> None:
    """A6, A11.8. At most eight queries, for many schedules with more runs than are shown."""
    for number in range(5):
        row = scheduled_row(f"s{number}", cron="* * * * *", last_fired_at=clock.now())
        for position in range(25):
            status = Status.ERROR if position == 24 else Status.SUCCESS
            made(status, workflow_id=f"{row.name}-{position}", schedule_name=row.name)
    client = staff(*EVERYTHING)
    with CaptureQueriesContext(connection) as queries:
        page: Any = client.get(LIST)
    assert len(reads(queries)) <= 8, "\n".join(reads(queries))
    elements = inspected(page).elements
    rows = page.context_data["cl"].result_list
    assert [row.name for row in rows] == ["s0", "s1", "s2", "s3", "s4"]
    assert [run.workflow_id for run in rows[0].latest] == [f"s0-{number}" for number in range(24, 4, -1)]
    dots = [found for tag, found in elements if tag == "a" and "durable-dot " in found.get("class", "") + " "]
    assert len(dots) == 100
    assert dots[0]["href"] == page_of(rows[0].latest[-1])
    buttons = [found for tag, found in elements if tag == "button" and "formaction" in found]
    assert [found["formaction"] for found in buttons][:2] == [
        verb(rows[0], "pause"),
        verb(rows[0], "trigger"),
    ]
    assert {found["form"] for found in buttons} == {"durable-row-verb"}


def test_ticks_without_a_run_are_counted(boss: Client) -> None:
    """A6. Of those since the schedule was made; the one that is due next is not among them."""
    now = clock.now()
    minute = now.replace(second=0, microsecond=0)
    row = scheduled_row("m", cron="* * * * *", created_at=minute - timedelta(minutes=5, seconds=1))
    for ago in (1, 3):
        tick = (minute - timedelta(minutes=ago)).isoformat()
        made(workflow_id=f"sched-m-{tick}", schedule_name="m")
    Schedule.objects.filter(pk=row.pk).update(next_at=minute + timedelta(minutes=1))
    [found] = listed(boss)
    assert found.missed.count == found.missed.of - 2
    assert found.missed.of in (6, 7)
    assert f"{found.missed.count} of {found.missed.of} not run" in boss.get(LIST).content.decode()


def test_what_nobody_fires_is_late_and_what_is_paused_says_so(boss: Client) -> None:
    """A6. In words."""
    late = scheduled_row("late", next_at=clock.now() - timedelta(hours=2))
    scheduled_row("off", status="PAUSED")
    text = boss.get(LIST).content.decode()
    assert "no worker fires it" in text
    assert "A tick is 2 h overdue: no worker fires it." in boss.get(of(late)).content.decode()
    assert "paused" in text
    assert [one.name for one in listed(boss, q="of")] == ["off"]


def test_links_ask_for_nothing_else(boss: Client) -> None:
    """Whatever is wrong with it."""
    row = scheduled_row()
    for query in ("context__contains=x", "status=PAUSED", "o=cron", "cursor=x"):
        assert boss.get(f"{LIST}?{query}").status_code == 400, query
    assert boss.get(f"{LIST}{uuid.uuid4()}/change/").status_code == 404
    assert boss.get(f"{LIST}x/change/").status_code == 404
    assert boss.post(verb(row, "explode")).status_code == 404
    assert boss.post(of(row)).status_code == 405


def test_what_cannot_be_read_here_is_shown_all_the_same(boss: Client) -> None:
    """Rows that another version has written; hostile strings in every field."""
    row = scheduled_row(HOSTILE[:100], workflow_name=HOSTILE, cron="1--100000000", timezone=HOSTILE)
    scheduled_row("ill", cron=HOSTILE, context=HOSTILE, queue_name=HOSTILE, status="PAUSED")
    made(workflow_id=HOSTILE, schedule_name=row.name)
    for url in (LIST, of(row), at(row, "edit"), verb(row, "delete"), at(row, "history")):
        page = boss.get(url)
        assert page.status_code == 200, url
        inspected(page)
        assert "<script>alert" not in page.content.decode()
    assert boss.get(at(row, "backfill")).status_code == 409


# the page


def test_the_page_has_all_of_a_schedule_in_few_queries(staff: Any) -> None:
    """A6, A11.8. At most fifteen; the context is a payload."""
    row = scheduled_row(
        context='{"note":"the secret"}', timezone="Europe/Berlin", catch_up="all", catch_up_limit=3
    )
    run = made(Status.ERROR, schedule_name=row.name)
    client = staff(*EVERYTHING)
    with CaptureQueriesContext(connection) as queries:
        page = client.get(of(row))
    assert len(reads(queries)) <= 15, "\n".join(reads(queries))
    elements = inspected(page).elements
    text = page.content.decode()
    assert "the secret" in text
    assert "Europe/Berlin" in text
    assert run.workflow_id in text
    assert page_of(run) in {found.get("href") for _tag, found in elements}
    blind = staff("view_schedule", name="blind").get(of(row)).content.decode()
    assert "the secret" not in blind
    assert run.workflow_id not in blind


def test_a_declared_schedule_is_only_read(boss: Client, declared: dict[str, DeclaredSchedule]) -> None:
    """A6. It names the module; pausing, triggering and backfilling are possible, nothing else."""
    definition = ScheduleDefinition(name="nightly", workflow_name=chimed.name, cron="0 3 * * *")
    declared["nightly"] = DeclaredSchedule(definition=definition, func=chimed.func)
    row = scheduled_row(is_declared=True)
    page = boss.get(of(row))
    text = page.content.decode()
    assert f"in {chimed.func.__module__}, line" in text
    links = {found["href"] for tag, found in inspected(page).elements if tag == "a" and "href" in found}
    assert {verb(row, "pause"), verb(row, "trigger"), at(row, "backfill")} <= links
    assert not {verb(row, "delete"), at(row, "edit")} & links
    assert boss.get(at(row, "edit")).headers["Location"] == of(row)
    assert saved(boss, at(row, "edit")).headers["Location"] == of(row)
    boss.post(verb(row, "delete"))
    assert Schedule.objects.get().cron == "0 3 * * *"
    assert AuditEvent.objects.get().outcome == "refused"


CONFLICTS: dict[str, tuple[dict[str, Any], dict[str, Any] | None, str]] = {
    "agree": ({"is_declared": True}, {}, ""),
    "changed": ({"is_declared": True}, {"cron": "0 4 * * *"}, "cron: 0 3 * * * → 0 4 * * *"),
    "gone": ({"is_declared": True}, None, "does not declare it"),
    "retired": ({"is_declared": True, "status": "RETIRED"}, None, "does so no more"),
    "taken": ({"workflow_name": "other"}, {}, "does not fire as long as this one is here"),
    "taken over": ({}, {}, "the next worker takes it over"),
    "own": ({}, None, ""),
}


@pytest.mark.parametrize("case", CONFLICTS)
def test_where_code_and_row_disagree_a_banner_says_so(
    boss: Client, declared: dict[str, DeclaredSchedule], case: str
) -> None:
    """A6. And what will come of it."""
    fields, changes, sentence = CONFLICTS[case]
    if changes is not None:
        plain = {"name": "nightly", "workflow_name": chimed.name, "cron": "0 3 * * *"}
        definition = ScheduleDefinition(**{**plain, **changes})
        declared["nightly"] = DeclaredSchedule(definition=definition, func=chimed.func)
    text = boss.get(of(scheduled_row(**fields))).content.decode()
    assert sentence in text
    assert ('role="alert"' in text) is bool(sentence)
    listed = boss.get(LIST).content.decode()
    assert ("differs from code" in listed) is (bool(sentence) and case != "retired")  # the status says that


def test_the_list_names_what_code_declares_and_no_row_has(
    boss: Client, declared: dict[str, DeclaredSchedule]
) -> None:
    """A6. And how it comes to be written."""
    for name in ("nightly", "hourly"):
        definition = ScheduleDefinition(name=name, workflow_name=chimed.name, cron="0 3 * * *")
        declared[name] = DeclaredSchedule(definition=definition, func=chimed.func)
    scheduled_row(is_declared=True)
    text = boss.get(LIST).content.decode()
    assert "<strong>hourly</strong>" in text
    assert "manage.py durable schedule sync" in text
    del declared["hourly"]
    assert "durable schedule sync" not in boss.get(LIST).content.decode()
