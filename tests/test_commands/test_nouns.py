"""`durable queue`, `schedule`, `workflow`, `worker`, `approval`, `version`: every verb, and what it says."""

import json
import time
from datetime import timedelta
from typing import Any

import pytest
from django import forms

from durable_app import (
    approval_form,
    clock,
    get_schedule,
    register_queue,
    retrieve_queue,
    scheduled,
    step,
    wait_for_approval,
    workflow,
)
from durable_app.models import Approval, AuditEvent, Message, Queue, Status, Worker
from durable_app.registry import registry
from durable_app.store import schedules, versions
from tests.test_admin.pages import made
from tests.test_commands.keyboard import durable

pytestmark = pytest.mark.django_db

FORMS = ("table", "wide", "json", "ndjson", "ids")


@approval_form
class TypedForm(forms.Form):
    amount = forms.IntegerField(max_value=100)


@step
def noun_step(value: Any) -> Any:
    return value


@workflow
def noun_nightly(at: Any, context: Any) -> None:
    """Runs at night."""


@workflow
def noun_refund(order: str) -> Any:
    noun_step(order)
    return wait_for_approval("Refund?", form=TypedForm)


def verbs() -> list[tuple[str, str, str]]:
    """Return verb, target and outcome of each audit event."""
    return list(AuditEvent.objects.order_by("pk").values_list("verb", "target_id", "outcome"))


def row(name: str, *, alive: bool = True, **columns: Any) -> Worker:
    now = clock.now()
    return Worker.objects.create(
        id=name,
        name=f"host:{name}",
        kind="worker",
        hostname="host",
        pid=1,
        started_at=now,
        heartbeat_at=now,
        expires_at=now + timedelta(minutes=1 if alive else -1),
        **columns,
    )


def test_queues_are_listed_paused_drained_and_tuned(monkeypatch):
    """Each with an audit event; a queue that there is not is exit 4."""
    register_queue("typed mail", concurrency=5)
    made(Status.ENQUEUED, queue_name="typed mail")
    said = {form: durable("queue", "list", "-o", form) for form in FORMS}
    assert said["ids"].lines == ["default", "typed mail"]
    assert [one["waiting"] for one in said["json"].json] == [0, 1]
    assert [json.loads(line) for line in said["ndjson"].lines] == said["json"].json
    assert "typed mail" in said["table"].out
    assert durable("queue", "get", "typed mail", "-o", "json").json["limits"] == {"concurrency": 5}
    assert durable("queue", "pause", "typed mail", "--until", "2h", "--reason", "repair").code == 0
    state = Queue.objects.get(name="typed mail")
    assert state.pause_reason.startswith("repair")
    assert state.paused_until is not None
    assert state.paused_until > clock.now() + timedelta(minutes=119)
    assert durable("queue", "get", "typed mail", "-o", "json").json["is_paused"] is True
    assert durable("queue", "resume", "typed mail").code == 0
    limits = ("--concurrency", "none", "--worker-concurrency", "2", "--limiter", "50/1m")
    assert durable("queue", "set", "typed mail", *limits).code == 0
    found = retrieve_queue("typed mail")
    assert found is not None
    assert found.limits.as_dict() == {"worker_concurrency": 2, "limiter": {"limit": 50, "period": 60.0}}
    assert durable("queue", "set", "typed mail", "--limiter", "none").code == 0
    wrong = durable("queue", "set", "typed mail", "--concurrency", "1")
    assert (wrong.code, "must not be above concurrency" in wrong.err) == (2, True)
    assert durable("queue", "set", "typed mail").code == 2
    assert durable("queue", "reset", "typed mail").code == 3
    assert [verb for verb, *_ in verbs()] == ["pause", "resume", *["configure"] * 3, "reset"]
    for verb in ("get", "pause", "resume", "drain", "reset"):
        assert durable("queue", verb, "nobody's").code == 4, verb
    assert durable("queue", "set", "nobody's", "--concurrency", "1").code == 4
    assert durable("queue", "get", "_durable_own").code == 2


def test_a_queue_is_drained_when_nothing_of_it_runs(monkeypatch):
    """It is paused first; with a timeout that passes it stays so, and the exit is 1."""
    register_queue("typed sink")
    run = made(Status.PENDING, queue_name="typed sink")
    late = durable("queue", "drain", "typed sink", "--timeout", "0s")
    assert (late.code, late.err) == (1, "1 run of the queue 'typed sink' still execute; it stays paused.")
    assert Queue.objects.get(name="typed sink").paused_at is not None

    def ends(seconds: float) -> None:
        type(run).objects.filter(pk=run.pk).update(status=Status.SUCCESS)

    monkeypatch.setattr(time, "sleep", ends)
    said = durable("queue", "drain", "typed sink", "--reason", "deploy")
    assert (said.code, said.err) == (0, "Waiting for 1 run; Ctrl-C leaves the queue paused.\n")
    assert verbs() == [("pause", "typed sink", "done")] * 2


def test_schedules_are_synced_listed_paused_triggered_and_backfilled(monkeypatch):
    """What the code declares; a dry run of each says what would be."""
    monkeypatch.setattr(registry, "schedules", {})
    scheduled("0 3 * * *", timezone="Europe/Berlin", name="typed nightly")(noun_nightly)
    dry = durable("schedule", "sync", "--dry-run", "-o", "json")
    assert dry.json == [{"schedule_name": "typed nightly", "change": "create"}]
    assert get_schedule("typed nightly") is None
    assert durable("schedule", "sync").code == 0
    assert durable("schedule", "sync", "--dry-run", "-o", "json").json[0]["change"] == ""
    said = {form: durable("schedule", "list", "-o", form) for form in FORMS}
    assert said["ids"].lines == ["typed nightly"]
    assert said["json"].json[0]["is_declared"] is True
    assert durable("schedule", "get", "typed nightly", "-o", "ids").lines == ["typed nightly"]
    ticks = durable("schedule", "next", "typed nightly", "--count", "3", "-o", "ids").lines
    assert [line[11:16] for line in ticks] == ["03:00"] * 3
    assert durable("schedule", "pause", "typed nightly").code == 0
    assert durable("schedule", "get", "typed nightly", "-o", "json").json["status"] == "PAUSED"
    assert durable("schedule", "resume", "typed nightly").code == 0
    assert len(durable("schedule", "trigger", "typed nightly", "-o", "ids").lines) == 1
    span = ("2026-01-01T00:00:00", "2026-01-03T12:00:00")
    assert len(durable("schedule", "backfill", "typed nightly", *span, "--dry-run").lines) == 4
    assert durable("schedule", "backfill", "typed nightly", *span, "-o", "json").json[0]["made"] == "3"
    refused = durable("schedule", "delete", "typed nightly")
    assert (refused.code, "declared in code" in refused.err) == (3, True)
    monkeypatch.setattr(registry, "schedules", {})
    assert durable("schedule", "sync", "-o", "json").json == [
        {"schedule_name": "typed nightly", "change": "retire"}
    ]
    found = schedules.get("typed nightly")
    assert found is not None
    assert found.status == "RETIRED"
    assert durable("schedule", "delete", "typed nightly").code == 0
    for verb in ("get", "next", "pause", "resume", "trigger", "delete"):
        assert durable("schedule", verb, "typed nightly").code == 4, verb
    assert [verb for verb, *_ in verbs()] == [
        "sync", "pause", "resume", "trigger", "backfill", "delete", "sync", "delete"
    ]  # fmt: skip


def test_older_code_takes_no_schedules_back(settings):
    """`schedule sync` of a version that is not the latest is refused."""
    versions.register("2.0")
    settings.DURABLE = {"APP_VERSION": "1.0"}
    versions.register("1.0")
    versions.set_latest("2.0")
    said = durable("schedule", "sync")
    assert (said.code, said.err) == (3, "This code's version, '1.0', is not the latest.")


def test_workflows_tell_where_they_stand_and_what_they_call():
    """Name, parameters, file and line; steps and operations by their lines."""
    found = durable("workflow", "show", "noun_refund", "-o", "json").json
    assert found["parameters"] == "(order: str) -> Any"
    assert found["location"].startswith(__file__)
    line = noun_refund.func.__code__.co_firstlineno
    assert found["steps"] == [
        f"noun_step (line {line + 2})",
        f"durable_app.wait_for_approval (line {line + 3})",
    ]
    for form in FORMS:
        assert "noun_refund" in durable("workflow", "list", "-o", form).out
    assert "<temp>" not in durable("workflow", "list").out
    assert durable("workflow", "show", "no such").code == 4


def test_workers_are_asked_to_quiet_and_stop_and_dead_ones_lose_their_runs():
    """A live one is not recovered; `durable recover` finds the dead ones, callers' processes too."""
    live, dead, other = row("w-live"), row("w-dead", alive=False), row("w-other", alive=False)
    runs = [made(Status.PENDING, worker_id=one.pk, started_at=clock.now()) for one in (live, dead, dead)]
    shown = {one["id"]: one for one in durable("worker", "list", "-o", "json").json}
    assert {name: one["state"] for name, one in shown.items()} == {
        "w-live": "live",
        "w-dead": "silent",
        "w-other": "silent",
    }
    assert shown["w-dead"]["running"] == 2
    assert set(durable("worker", "list", "-o", "ids").lines) == shown.keys()
    assert durable("worker", "quiet", "w-live").code == 0
    assert Worker.objects.get(pk="w-live").asked_to == "quiet"
    assert durable("worker", "stop", "w-live").code == 0
    assert durable("worker", "recover", "w-live").code == 3
    assert durable("recover", "--worker", "w-live").code == 3
    assert durable("worker", "stop", "w-dead").code == 3
    for verb in ("quiet", "stop", "recover"):
        assert durable("worker", verb, "nobody").code == 4
    assert durable("recover", "--worker", "nobody").code == 4
    said = durable("recover", "--reason", "the host is gone", "-o", "json")
    assert (said.code, {one["target"] for one in said.json}) == (0, {"w-dead", "w-other"})
    assert [type(run).objects.get(pk=run.pk).status for run in runs] == ["PENDING", "ENQUEUED", "ENQUEUED"]
    event = AuditEvent.objects.get(verb="recover", target_id="w-dead", outcome="done")
    assert (event.details, event.reason) == ({"runs": 2}, "the host is gone")
    assert durable("worker", "recover", "w-dead").code == 0
    again = durable("recover")
    assert (again.code, again.err.splitlines()[0]) == (0, "No worker is silent: nothing is to be taken back.")
    assert other.pk


def asked(**columns: Any) -> Approval:
    run = made(Status.WAITING, name="noun_refund")
    return Approval.objects.create(
        workflow=run, position=2, title="Refund?", form="", created_at=clock.now(), **columns
    )


def test_questions_are_answered_once():
    """A10. Approved with the form's fields, refused a second time; a wrong field is said by its name."""
    form = next(name for name in registry.forms if name.endswith("TypedForm"))
    first, second = asked(), asked()
    Approval.objects.filter(pk=second.pk).update(form=form)
    assert set(durable("approval", "list", "-o", "ids").lines) == {str(first.pk), str(second.pk)}
    assert durable("approval", "answer", str(first.pk), "--reject", "--comment", "too late").code == 0
    again = durable("approval", "answer", str(first.pk), "--approve")
    assert (again.code, "was closed at" in again.err) == (3, True)
    wrong = durable("approval", "answer", str(second.pk), "--approve", "--field", "amount=500")
    assert (wrong.code, "amount: " in wrong.err) == (2, True)
    evil = durable("approval", "answer", str(second.pk), "--approve", "--field", "evil=1")
    assert (evil.code, evil.err) == (2, "evil: The question does not ask for this.")
    assert durable("approval", "answer", str(second.pk), "--approve", "--field", "amount=5").code == 0
    assert Message.objects.count() == 2
    assert durable("approval", "answer", "4711", "--approve").code == 4
    assert "required" in durable("approval", "answer", str(first.pk)).err
    assert verbs()[:2] == [("reject", str(first.pk), "done"), ("approve", str(first.pk), "refused")]


def test_versions_are_listed_and_one_becomes_the_latest():
    """An unknown one is not found."""
    for name in ("1.0", "2.0"):
        versions.register(name)
    assert durable("version", "list", "-o", "ids").lines == ["2.0", "1.0"]
    assert durable("version", "set-latest", "1.0", "--reason", "back").code == 0
    assert durable("version", "list", "-o", "ids").lines == ["1.0", "2.0"]
    assert durable("version", "set-latest", "3.0").code == 4
    assert verbs() == [("set latest", "1.0", "done"), ("set latest", "3.0", "failed")]
