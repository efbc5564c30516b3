"""Made-up runs: as many as were asked for, in every state, in the order of their creation."""

import io
import json

import pytest
from django.core.management import call_command

from durable_app.models import Event, Message, Status, Step, Workflow
from durable_app.registry import registry
from durable_app.store import seeding

pytestmark = pytest.mark.django_db


def test_as_many_as_asked_for_in_every_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids are in the order of ``created_at``; no worker takes any."""
    monkeypatch.setattr(seeding, "BATCH", 700)
    monkeypatch.setitem(seeding._WEIGHTS, Status.MAX_RECOVERY_ATTEMPTS_EXCEEDED, 100)
    said = io.StringIO()
    call_command("durable", "seed", "--runs", "1500", "--steps", "2", stderr=said)
    assert "1500 runs" in said.getvalue()
    times = list(Workflow.objects.order_by("pk").values_list("created_at", flat=True))
    assert len(times) == 1500
    assert times == sorted(times)
    assert set(Workflow.objects.values_list("status", flat=True)) == set(Status)
    assert Step.objects.filter(error__isnull=False).exists()
    assert not set(Workflow.objects.values_list("name", flat=True)) & registry.workflows.keys()


def test_two_at_once_get_along_and_new_runs_follow() -> None:
    """Ids are never the same, and what is started afterwards has an id of its own."""
    for _again in range(2):
        call_command("durable", "seed", "--runs", "20", stderr=io.StringIO())
    last = Workflow.objects.order_by("-pk")[0]
    assert Workflow.objects.count() == 40
    follower = Workflow.objects.create(
        workflow_id="follower", name=last.name, status=Status.SUCCESS, inputs=last.inputs,
        created_at=last.created_at, updated_at=last.updated_at,
    )  # fmt: skip
    assert follower.pk > last.pk


def test_what_is_made_up_reads_like_what_ran() -> None:
    """Attributes, arguments and times come back as they are from an engine's rows."""
    call_command("durable", "seed", "--runs", "30", stderr=io.StringIO())
    for run in Workflow.objects.all():
        assert set(run.attributes) == {"customer", "amount"}
        assert json.loads(run.inputs)["args"][1] == run.attributes["amount"]
        assert run.started_at is None or run.started_at >= run.created_at == run.enqueued_at
    assert Event.objects.count() == Message.objects.count() == 3
