"""Made-up runs: as many as were asked for, in every state, in the order of their creation."""

import io

import pytest
from django.core.management import call_command

from durable_app.models import Status, Step, Workflow
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
