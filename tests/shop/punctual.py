"""What schedules start, in whatever process: an effect a run, in the transaction that records it."""

from datetime import datetime
from typing import Any

from durable_app import transaction, workflow, workflow_id
from tests.shop.models import Effect


@transaction
def note_strike(scheduled_at: datetime) -> None:
    Effect.objects.create(workflow_id=workflow_id() or "", step=scheduled_at.isoformat())


@workflow
def strike(scheduled_at: datetime, context: Any) -> None:
    """Leave one effect; the context "loudly" makes it fail afterwards."""
    note_strike(scheduled_at)
    if context == "loudly":
        raise ValueError("The bell is cracked.")


def struck() -> None:
    """Leave an effect without any workflow, as a cron job's function."""
    Effect.objects.create(workflow_id="", step="struck")


def struck_with(word: str, *, times: int = 1) -> None:
    """Leave an effect a time, each with a word."""
    for _ in range(times):
        Effect.objects.create(workflow_id="", step=word)


def cracked() -> None:
    """Fail, as a cron job's function may."""
    raise ValueError("The bell is cracked.")
