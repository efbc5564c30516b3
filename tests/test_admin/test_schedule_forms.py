"""Schedules: the form with its preview, the verbs, who may use them, and backfills."""

import sys
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from durable_app import FIRED_AT, apply_schedules, clock, register_queue, workflow
from durable_app.insight.fires import preview
from durable_app.models import AuditEvent, Schedule, Workflow
from durable_app.recurrence import Recurrence
from tests.test_admin.pages import inspected, made, page_of
from tests.test_admin.schedules import (
    EVERYTHING,
    FORM,
    HOSTILE,
    LIST,
    at,
    chimed,
    of,
    saved,
    scheduled_row,
    verb,
)

pytestmark = pytest.mark.django_db


@workflow
def deaf_to_ticks() -> None:
    pass


def errors(response: Any) -> dict[str, Any]:
    assert response.status_code == 200, response.headers
    inspected(response)
    return dict(response.context_data["form"].errors)


# the form


def test_a_schedule_is_added_changed_and_deleted(boss: Client) -> None:
    """A6. Through the control layer: each with its audit, and in Django's history."""
    inspected(boss.get(f"{LIST}add/"))
    done = saved(
        boss, context='{"a": [1]}', timezone="Europe/Berlin", catch_up="all", catch_up_limit=3, reason="r"
    )
    row = Schedule.objects.get()
    assert done.headers["Location"] == of(row)
    assert (row.name, row.timezone, row.catch_up_limit, row.status) == (
        "hourly",
        "Europe/Berlin",
        3,
        "ACTIVE",
    )
    assert (row.context, row.next_at is not None) == ('{"a":[1]}', True)

    page: Any = boss.get(at(row, "edit"))
    inspected(page)
    form = page.context_data["form"]
    same = {name: form.get_initial_for_field(field, name) or "" for name, field in form.fields.items()}
    changes = {"cron": "5 * * * *", "is_enabled": ""}
    assert saved(boss, at(row, "edit"), **{**same, **changes}).status_code == 302
    row.refresh_from_db()
    assert (row.cron, row.context, row.catch_up_limit, row.status) == ("5 * * * *", '{"a":[1]}', 3, "PAUSED")

    boss.get(verb(row, "delete"))
    assert Schedule.objects.exists()
    assert boss.post(verb(row, "delete"), {"reason": "out"}).headers["Location"] == LIST
    assert not Schedule.objects.exists()
    events = AuditEvent.objects.order_by("pk").values_list("verb", "outcome", "target_id", "reason")
    assert list(events) == [
        ("create", "done", "hourly", "r"),
        ("change", "done", "hourly", ""),
        ("delete", "done", "hourly", "out"),
    ]
    assert [one.get_change_message() for one in LogEntry.objects.order_by("pk")] == ["Added: r", "Changed"]


def test_a_new_schedule_may_be_paused_from_the_start(boss: Client, staff: Any) -> None:
    """A6. In the same transaction; who may not pause has no such choice."""
    saved(boss, is_enabled="")
    assert Schedule.objects.get().status == "PAUSED"
    client = staff("view_schedule", "add_schedule", name="bob")
    assert "is_enabled" not in client.get(f"{LIST}add/").context_data["form"].fields
    saved(client, name="second", is_enabled="")
    assert Schedule.objects.get(name="second").status == "ACTIVE"


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a field out of bounds": ({"cron": "1--100000000 * * * *"}, "cron"),
    "a range of millions": ({"cron": "0-100000000 * * * *"}, "cron"),
    "a step of nothing": ({"cron": "*/0 * * * *"}, "cron"),
    "too long": ({"cron": "1," * 200 + "1 * * * *"}, "cron"),
    "never": ({"cron": "0 0 30 2 *"}, "cron"),
    "too few fields": ({"cron": "* * *"}, "cron"),
    "no expression": ({"cron": ""}, "cron"),
    "no zone": ({"timezone": "Mars/Olympus"}, "timezone"),
    "a path for a zone": ({"timezone": "../../etc/passwd"}, "timezone"),
    "no workflow": ({"workflow": "os.system"}, "workflow"),
    "a workflow without parameters": ({"workflow": deaf_to_ticks.name}, "workflow"),
    "no queue": ({"queue": "nowhere"}, "queue"),
    "a partitioned queue": ({"queue": "shards"}, "queue"),
    "no json": ({"context": "{"}, "context"),
    "deep json": ({"context": "[" * 10_000 + "]" * 10_000}, "context"),
    "no name": ({"name": "  "}, "name"),
    "a taken name": ({"name": "nightly"}, "name"),
    "a name with a zero byte": ({"name": "a\0b"}, "name"),
    "a limit of nothing": ({"catch_up": "last", "catch_up_limit": 3}, "catch_up_limit"),
    "no policy": ({"overlap": "explode"}, "overlap"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_at_its_field(boss: Client, case: str) -> None:
    """A6; issue 4, bad input. At once, and what was typed stays."""
    register_queue("shards", partition_concurrency=1)
    scheduled_row()
    changes, field = WRONG[case]
    page = saved(boss, **changes)
    assert list(errors(page)) == [field]
    assert page.context_data["form"].data["overlap"] == changes.get("overlap", "allow")
    assert Schedule.objects.count() == 1
    assert not AuditEvent.objects.exists()


def test_the_preview_needs_no_script(boss: Client, viewer: Client) -> None:
    """A6. A button shows it with all that was typed; a script asks for the same fragment."""
    page = boss.post(
        f"{LIST}add/", {**FORM, "cron": "30 2 * * *", "timezone": "Europe/Berlin", "preview": "yes"}
    )
    text = page.content.decode()
    inspected(page)
    assert text.count("02:30:00") >= 4
    assert 'value="30 2 * * *"' in text
    assert "twice" in text or "clocks go from" in text
    assert not Schedule.objects.exists()
    fragment = boss.get(
        f"{LIST}preview/", {"cron": "30 2 * * *", "timezone": "Europe/Berlin"}
    ).content.decode()
    assert fragment.count("02:30:00") >= 4
    for cron in ("1--100000000 * * * *", HOSTILE, ""):
        answer = boss.get(f"{LIST}preview/", {"cron": cron})
        assert answer.status_code == 200
        inspected(answer)
        assert "durable-bad" in answer.content.decode()
    assert viewer.get(f"{LIST}preview/", {"cron": "* * * * *"}).status_code == 403


@pytest.mark.parametrize(
    ("cron", "notes"),
    [
        (
            "30 2 * * *",
            [
                "On 2027-03-28 the clocks go from 02:00 to 03:00: "
                "what falls in between fires once, at 03:00.",
                "On 2027-10-31 the clocks show 02:00 to 03:00 twice: it fires the first time only.",
            ],
        ),
        (
            "*/15 * * * *",
            [
                "On 2027-03-28 the clocks go from 02:00 to 03:00: it does not fire in between.",
                "On 2027-10-31 the clocks show 02:00 to 03:00 twice: it fires in both.",
            ],
        ),
        ("0 3 * * *", []),
        ("30 2 1 * *", []),
    ],
)
def test_changes_of_the_clocks_are_foretold(cron: str, notes: list[str]) -> None:
    """A6. Only those that the schedule's times fall into; and it fires as foretold."""
    recurrence = Recurrence(cron, "Europe/Berlin")
    found = preview(recurrence, datetime(2026, 11, 22, 12, tzinfo=UTC))
    assert list(found.notes) == notes
    assert len(found.ticks) == 5
    jump = datetime(2027, 3, 28, 1, tzinfo=UTC)
    at_jump = list(recurrence.ticks(jump - timedelta(minutes=1), jump))
    assert bool(at_jump) is (cron != "30 2 1 * *")


def test_an_expression_is_told_in_words_where_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A6. cron-descriptor is optional, and its failure is none of ours."""

    def described(cron: str, options: Any) -> str:
        if cron.startswith("@"):
            raise ValueError(cron)
        return f"in words: {cron}, {options.use_24hour_time_format}"

    now = datetime(2026, 11, 22, tzinfo=UTC)
    monkeypatch.setitem(sys.modules, "cron_descriptor", None)
    assert preview(Recurrence("0 3 * * *"), now).words == ""
    fake = SimpleNamespace(get_description=described, Options=SimpleNamespace)
    monkeypatch.setitem(sys.modules, "cron_descriptor", fake)
    assert preview(Recurrence("0 3 * * *"), now).words == "in words: 0 3 * * *, True"
    assert preview(Recurrence("@daily"), now).words == ""


def test_what_is_hidden_of_a_context_stays_as_it_is(staff: Any) -> None:
    """A9. Secrets, and what is not plain JSON; without the permission all of it."""
    plain: Any = {"workflow_fn": chimed, "schedule": "0 3 * * *"}
    secret = {"token": "hunter2", "day": clock.now()}
    inputs: list[Any] = [
        {**plain, "schedule_name": "n", "context": secret},
        {**plain, "schedule_name": "f", "context": FIRED_AT},
    ]
    apply_schedules(inputs)
    rows = {row.name: row for row in Schedule.objects.all()}
    seeing, blind = staff(*EVERYTHING), staff("view_schedule", "change_schedule", name="blind")
    for client, may_see, cron in ((seeing, True, "0 4 * * *"), (blind, False, "0 5 * * *")):
        for row in rows.values():
            page: Any = client.get(at(row, "edit"))
            assert "hunter2" not in page.content.decode()
            form = page.context_data["form"]
            assert ("context" in form.fields) is may_see
            shown = {"context": form.initial["context"]} if may_see else {"context": '"mine"'}
            assert saved(client, at(row, "edit"), cron=cron, **shown).status_code == 302
            now = Schedule.objects.get(pk=row.pk)
            assert (now.cron, now.context) == (cron, row.context)
    moved = saved(staff(*EVERYTHING, name="cid"), at(rows["n"], "edit"), context='{"other": "•••"}')
    assert list(errors(moved)) == ["context"]


# verbs and permissions


def test_the_buttons_of_a_row_do_it_at_once_and_lead_back(boss: Client) -> None:
    """A6. Pause, resume, trigger: by POST, never by a link."""
    row = scheduled_row()
    for name in ("pause", "resume", "trigger"):
        boss.get(verb(row, name))
    assert not AuditEvent.objects.exists()
    for name, status in (("pause", "PAUSED"), ("resume", "ACTIVE"), ("trigger", "ACTIVE")):
        assert boss.post(verb(row, name), {"back": "list"}).headers["Location"] == LIST
        row.refresh_from_db()
        assert row.status == status
    run = Workflow.objects.get()
    assert (run.name, run.schedule_name) == (chimed.name, "nightly")
    assert boss.post(verb(row, "pause"), {"reason": "calm"}).headers["Location"] == of(row)
    triggered = boss.post(verb(row, "trigger"))
    assert triggered.headers["Location"] == page_of(Workflow.objects.latest("pk"))
    text = boss.get(at(row, "history")).content.decode()
    assert text.count("calm") == 2
    assert "Trigger" in text


DEEDS: dict[str, tuple[str, str]] = {
    "pause": ("pause_schedule", "verb/pause"),
    "resume": ("pause_schedule", "verb/resume"),
    "trigger": ("trigger_schedule", "verb/trigger"),
    "delete": ("delete_schedule", "verb/delete"),
    "change": ("change_schedule", "edit"),
    "create": ("add_schedule", "add"),
    "backfill": ("backfill_schedule", "backfill"),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_each_verb_needs_its_permission_and_no_other(staff: Any, deed: str) -> None:
    """A9; issue 4, bad input. 403 and an audit row without it; with it alone, it is done."""
    permission, place = DEEDS[deed]
    row = scheduled_row()
    before = Schedule.objects.values().get()
    url = f"{LIST}add/" if deed == "create" else at(row, place)
    yesterday = clock.now() - timedelta(days=2)
    data = {
        **FORM,
        "save": "yes",
        "confirmed": "yes",
        "start": yesterday.isoformat(),
        "end": clock.now().isoformat(),
    }
    others = staff("view_schedule", *(set(EVERYTHING) - {permission}))
    for client in (staff("view_schedule", name="viewer"), others):
        assert client.get(url).status_code == 403
        assert client.post(url, data).status_code == 403
    events = AuditEvent.objects.values_list("verb", "outcome", "target_kind", "target_id")
    assert set(events) == {(deed, "denied", "schedule", "" if deed == "create" else "nightly")}
    assert events.count() == 4
    assert Schedule.objects.values().get() == before
    assert not Workflow.objects.exists()

    own = staff("view_schedule", permission, name="own")
    assert own.get(url).status_code == 200
    assert own.post(url, data).status_code == 302
    assert AuditEvent.objects.latest("pk").outcome == "done"


def test_who_may_not_see_schedules_sees_none(viewer: Client) -> None:
    """A9."""
    row = scheduled_row()
    for url in (LIST, of(row), at(row, "history"), verb(row, "pause")):
        assert viewer.get(url).status_code == 403
    assert viewer.post(verb(row, "pause")).status_code == 403
    assert Schedule.objects.get().status == "ACTIVE"


# backfills


def test_a_backfill_shows_its_ticks_before_it_starts_them(boss: Client) -> None:
    """A6. Those that have a run are marked, and not run again; times are those of the schedule's zone."""
    row = scheduled_row(timezone="Europe/Berlin")
    made(workflow_id="sched-nightly-2026-07-02T03:00:00+02:00", schedule_name="nightly")
    span = {"start": "2026-07-01 00:00", "end": "2026-07-04 00:00"}
    inspected(boss.get(at(row, "backfill")))
    look: Any = boss.post(at(row, "backfill"), {**span, "look": "yes"})
    inspected(look)
    text = look.content.decode()
    assert [tick.has_run for tick in look.context_data["ticks"]] == [False, True, False]
    assert "2026-07-03 03:00:00 +0200" in text
    assert "has a run already" in text
    assert Workflow.objects.count() == 1
    for _ in range(2):
        assert boss.post(at(row, "backfill"), {**span, "confirmed": "yes"}).headers["Location"] == of(row)
        assert Workflow.objects.count() == 3
    assert {event.details["made"] for event in AuditEvent.objects.all()} == {"3"}
    again = boss.post(at(row, "backfill"), {**span, "look": "yes"}).content.decode()
    assert 'name="confirmed"' not in again


@pytest.mark.parametrize(
    ("cron", "start", "end", "field"),
    [
        ("* * * * * *", "2026-01-01", "2026-07-01", "end"),
        ("0 3 * * *", "2026-01-02", "2026-01-01", "end"),
        ("0 3 * * *", "2026-01-02", "2999-01-01", "end"),
        ("0 3 * * *", "yesterday", "2026-01-01", "start"),
        ("0 3 * * *", "1970-01-01", "9999-12-31", "end"),
        ("0 3 * * *", "0001-01-01 00:00", "0001-01-01 00:01", "start"),
    ],
)
@pytest.mark.parametrize("button", ["look", "confirmed"])
def test_a_backfill_is_bounded(
    boss: Client, cron: str, start: str, end: str, field: str, button: str
) -> None:
    """A6. A thousand ticks, in the past; more is refused at once and nothing is started."""
    row = scheduled_row(cron=cron, timezone="Europe/Berlin")
    page: Any = boss.post(at(row, "backfill"), {"start": start, "end": end, button: "yes"})
    inspected(page)
    assert list(page.context_data["tried"].errors) == [field]
    assert not Workflow.objects.exists()
