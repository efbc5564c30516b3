"""`durable run` that looks: every form, every kind of wrong id, nothing that a terminal obeys."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from durable_app import clock, set_event, step, workflow
from durable_app.management.cli import newest
from durable_app.models import AuditEvent, Status, Step
from tests.test_admin.pages import ERROR, made, with_steps
from tests.test_commands.keyboard import Said, durable

pytestmark = pytest.mark.django_db

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eevil\r\n"
"""A title, a cleared screen, colours by way of a C1 code, reversed writing, a line more."""


@step
def look_charge(amount: int) -> dict[str, Any]:
    return {"receipt": amount, "token": "geheim"}


@workflow
def look_checkout(amount: int, *, password: str = "") -> dict[str, Any]:
    set_event("progress", {"half": True, "password": "geheim"})
    return look_charge(amount)


@workflow
def look_failing() -> None:
    raise ValueError(f"no {HOSTILE}")


def test_a_list_in_every_form():
    """The forms table, wide, json, ndjson and ids have the same runs; json has every field of a status."""
    first, second = made(name="shop.checkout"), made(Status.ERROR, name="x" * 80)
    forms = {form: durable("run", "list", "-o", form) for form in ("table", "wide", "json", "ndjson", "ids")}
    assert {said.code for said in forms.values()} == {0}
    assert forms["table"].lines[0].split()[:2] == ["WORKFLOW", "ID"]
    assert f"{'x' * 59}…" in forms["table"].out
    assert "x" * 80 in forms["wide"].out
    assert [row["workflow_id"] for row in forms["json"].json] == [second.workflow_id, first.workflow_id]
    assert [json.loads(line) for line in forms["ndjson"].lines] == forms["json"].json
    assert forms["ids"].lines == [second.workflow_id, first.workflow_id]
    row = forms["json"].json[1]
    assert row["created_at"] == first.created_at.isoformat()
    assert {"status", "queue_name", "waiting_for", "attributes", "app_version"} <= row.keys()
    assert all(said.err == "" for said in forms.values())


def test_conditions_are_those_of_the_filters_and_wrong_ones_are_said():
    """Alternatives, times, attributes, order, pages; an unknown status is a wrong command line."""
    now = clock.now()
    old = made(Status.ERROR, created_at=now - timedelta(days=3), attributes={"customer": "ann", "n": 1})
    new = made(name="mail.send", queue_name="mail", user="ben")
    made(Status.ENQUEUED)

    def ids(*conditions: str) -> list[str]:
        return durable("run", "list", "-o", "ids", *conditions).lines

    assert ids("--status", "ERROR", "--status", "SUCCESS") == [new.workflow_id, old.workflow_id]
    assert ids("--until", "2d") == [old.workflow_id] == ids("--attribute", "customer=ann")
    assert ids("--until", (now - timedelta(days=2)).isoformat()) == [old.workflow_id]
    assert ids("--name", "mail.send", "--queue", "mail", "--user", "ben") == [new.workflow_id]
    assert ids("--oldest-first", "--limit", "1") == [old.workflow_id]
    assert ids("--oldest-first", "--limit", "1", "--offset", "1") == [new.workflow_id]
    assert len(ids("--id-prefix", "run-")) == 3
    assert ids("--queued", "--status", "ERROR") == []
    said = durable("run", "list", "--status", "BROKEN")
    assert (said.code, said.out) == (2, "")
    assert "status 'BROKEN' is none of" in said.err
    assert durable("run", "list", "--status", "CANCELLED").err == "Nothing found.\n"
    assert durable("run", "list", "--status", "CANCELLED", "--quiet").err == ""
    assert durable("run", "list", "--status", "CANCELLED", "-o", "json").json == []


def test_a_run_with_its_steps_events_and_result():
    """Payloads are redacted wherever they are shown."""
    look_checkout(7, password="geheim")
    run = durable("run", "list", "-o", "ids").lines[0]
    for form in ("table", "wide", "json", "ndjson"):
        for verb in ("get", "steps", "events"):
            said = durable("run", verb, run, "-o", form)
            assert (said.code, said.err) == (0, "")
            assert "geheim" not in said.out, (verb, form)
    assert durable("run", "get", run, "-o", "json").json["input"] == {
        "args": [7],
        "kwargs": {"password": "•••"},
    }
    assert durable("run", "get", run, "-o", "ids").lines == [run]
    assert [row["name"] for row in durable("run", "steps", run, "-o", "json").json] == [
        "durable.setEvent",
        "look_charge",
    ]
    assert durable("run", "steps", run, "-o", "ids").lines == ["1", "2"]
    assert durable("run", "events", run, "-o", "json").json[0]["key"] == "progress"
    result = durable("run", "result", run)
    assert result.json == {"receipt": 7, "token": "•••"}
    assert durable("run", "tail", run).lines[-1].endswith("SUCCESS")
    assert not AuditEvent.objects.exists()


def test_a_failed_run_and_one_that_has_not_ended():
    """The result of the one is its error, of the other that there is none yet: exit 1, no traceback."""
    with pytest.raises(ValueError, match="no "):
        look_failing()
    run = durable("run", "list", "-o", "ids").lines[0]
    assert durable("run", "get", run, "-o", "json").json["error"].startswith("ValueError: no ")
    result = durable("run", "result", run)
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("ValueError: no \\x1b]0;owned\\x07")
    waiting = durable("run", "result", made(Status.WAITING).workflow_id)
    assert waiting.code == 1
    assert "Traceback" not in result.err + waiting.err


@pytest.mark.parametrize("verb", ["get", "steps", "events", "result", "tail", "doctor"])
def test_an_unknown_id_is_not_found_and_an_impossible_one_is_refused(verb):
    """Exit 4 and 2; what cannot be stored never gets to the database."""
    said = durable("run", verb, "no such run")
    assert (said.code, said.out, said.err) == (4, "", "There is no run 'no such run'.")
    for wrong in ("", "   ", "x" * 256):
        assert durable("run", verb, wrong).code == 2
    assert "databases do not store" in durable("run", verb, "a\udcff").err


def test_nothing_that_is_stored_steers_the_terminal():
    """Bad input. Names, ids, queues and errors are shown escaped in every form; json has them whole."""
    run = made(
        Status.ERROR, name=HOSTILE, workflow_id=f"id {HOSTILE}", queue_name=HOSTILE, waiting_for=HOSTILE
    )
    with_steps(run, HOSTILE, fails=True)
    said = [durable("run", "list", "-o", form) for form in ("table", "wide", "json", "ndjson", "ids")]
    for verb in ("get", "steps", "tail", "doctor", "result", "events"):
        said += [durable("run", verb, run.workflow_id, "-o", form) for form in ("table", "json")]
    said += [durable("doctor", run.workflow_id), durable("queue", "list"), durable("run", "get", HOSTILE)]
    for one in said:
        text = (one.out + one.err).replace("\n", "")
        assert text.isprintable(), text
    assert said[2].json[0]["name"] == HOSTILE
    assert "\\x1b]0;owned\\x07\\x1b[2J\\x9b31m\\u202eevil" in said[0].out
    assert len(said[0].lines) == 2


def test_an_id_that_is_no_plain_line_comes_back_through_a_pipe():
    """The pipe `ids | verb -`: blanks around it, quotes, line ends and escapes included."""
    odd = [" around ", '"quoted"', "two\nlines", HOSTILE, "dash -", "日本", "-"]
    for one in odd:
        made(Status.ENQUEUED, workflow_id=one)
    ids = durable("run", "list", "-o", "ids").out
    assert len(ids.splitlines()) == len(odd)
    said = durable("run", "cancel", "-", "-o", "json", stdin=ids)
    assert said.code == 0, said.err
    assert {row["target"] for row in said.json} == set(odd)


def test_columns_of_wide_characters_stand_below_each_other():
    """A table is one also with texts of which each character takes two columns, or none."""
    made(name="日本語")
    made(name="plain")
    lines = durable("run", "list").lines
    column = lines[0].index("QUEUE NAME")
    assert lines[1][column:].startswith("default")
    assert lines[2][column - 3 :].startswith("default")


def test_the_doctor_says_why_by_either_name():
    """A2. `durable doctor` and `durable run doctor` are one; json has the headline and the facts."""
    run = made(Status.ENQUEUED)
    said = durable("doctor", run.workflow_id)
    assert said.lines[:2] == [
        f"shop.checkout {run.workflow_id} is ENQUEUED.",
        "No worker is running.",
    ]
    assert said == durable("run", "doctor", run.workflow_id)
    found = durable("doctor", run.workflow_id, "-o", "json").json
    assert (found["headline"], found["is_problem"]) == ("No worker is running.", True)


def test_the_doctor_tells_times_as_the_tables_do(settings):
    """In the project's time zone; and the doctor, who has room, says which."""
    settings.TIME_ZONE = "Asia/Kolkata"
    due = datetime(2031, 1, 31, 20, 0, tzinfo=UTC)
    run = made(Status.DELAYED, run_after=due, created_at=due)
    assert "It is delayed until 2031-02-01 01:30:00 IST (in " in durable("doctor", run.workflow_id).out
    assert "2031-02-01 01:30:00" in durable("run", "list").out


def test_watching_looks_again_until_ctrl_c(monkeypatch):
    """--watch: after each pause there is what is new; Ctrl-C is exit 130."""
    pauses: list[float] = []

    def rest(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) > 1:
            raise KeyboardInterrupt
        made(workflow_id="later")

    monkeypatch.setattr(time, "sleep", rest)
    made(workflow_id="sooner")
    said: Said = durable("run", "list", "--watch", "5s", "-o", "ids")
    assert (said.lines, pauses, said.code) == (["sooner", "later", "sooner"], [5.0, 5.0], 130)
    assert said.err == "Interrupted."


def test_a_tail_follows_a_run_to_its_end(monkeypatch):
    """Each step once, failed ones marked, and the state at the end."""
    run = with_steps(made(Status.PENDING), "reserve")

    def rest(seconds: float) -> None:
        with_steps_from(run.pk)
        type(run).objects.filter(pk=run.pk).update(status=Status.ERROR, finished_at=clock.now())

    def with_steps_from(pk: int) -> None:
        now = clock.now()
        Step.objects.create(
            workflow_id=pk, position=2, name="charge", error=ERROR, attempt=1, started_at=now, finished_at=now
        )

    monkeypatch.setattr(time, "sleep", rest)
    said = durable("run", "tail", run.workflow_id)
    assert said.err == "Times are in UTC.\n"
    assert [line.split(maxsplit=1)[1] for line in said.lines] == ["✓ 1 reserve", "✗ 2 charge", "ERROR"]


def test_a_table_has_the_newest_and_says_so_data_has_all(monkeypatch):
    """5. What goes through a pipe is whole, fetched in batches; a table ends, and says that there is more."""
    monkeypatch.setattr(newest, "SHOWN", 2)
    monkeypatch.setattr(newest, "BATCH", 2)
    ids = [made(Status.ERROR).workflow_id for _ in range(5)][::-1]
    table = durable("run", "list", "--status", "ERROR")
    assert [line.split()[0] for line in table.lines[1:]] == ids[:2]
    assert table.err == "2 of more: --limit N\n"
    assert durable("run", "list", "--limit", "4").err == "4 of more: --limit N\n"
    assert durable("run", "list", "--limit", "5").err == durable("run", "list", "--quiet").err == ""
    assert len(durable("run", "list", "--limit", "5").lines) == 6
    for form in ("ids", "ndjson"):
        said = durable("run", "list", "-o", form)
        assert (len(said.lines), said.err) == (5, "")
    assert durable("run", "list", "-o", "ids").lines == ids
    assert durable("run", "list", "-o", "ids", "--oldest-first", "--offset", "1").lines == ids[::-1][1:]
    assert durable("run", "list", "-o", "ids", "--limit", "3").lines == ids[:3]
    assert [row["workflow_id"] for row in durable("run", "list", "-o", "json").json] == ids
    retried = durable("run", "retry", "-", stdin=durable("run", "list", "-o", "ids").out)
    assert (retried.code, len(retried.lines)) == (0, 6)


def test_bulk_operations_are_listed_as_runs_are(monkeypatch):
    """5. The same rule for every list that grows."""
    monkeypatch.setattr(newest, "SHOWN", 2)
    monkeypatch.setattr(newest, "BATCH", 2)
    for _ in range(3):
        durable("run", "cancel", "--status", "ENQUEUED", "--name", "x", "--yes", "--in-background")
    table = durable("bulk", "list")
    assert (len(table.lines), table.err) == (3, "2 of more: --limit N\n")
    assert len(durable("bulk", "list", "-o", "ids").lines) == 3


def test_no_two_ids_look_the_same_in_a_table():
    """20. Line ends, tabs, blanks at the ends, and the characters that an escape is made of."""
    odd = ["a b", "a  b", "a\nb", "a\tb", "a\\nb", " a b", "a b ", "a\u00a0b", "a\u2028b", "a\x85b"]
    for one in odd:
        made(workflow_id=one)
    for form in ("table", "wide"):
        lines = durable("run", "list", "-o", form).lines[1:]
        shown = [line.split("  SUCCESS")[0].rstrip() for line in lines]
        assert len(set(shown)) == len(odd), shown
        assert {"a\\nb", "a\\tb", "a\\\\nb", "\\x20a b", "a b\\x20"} <= set(shown)
