"""From a time to a place among the runs, by a search in one statement."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from durable_app.models import Workflow
from durable_app.store import moments
from durable_app.store.moments import first_since

pytestmark = pytest.mark.django_db

NOON = datetime.fromisoformat("2026-01-01T12:00:00+00:00")


def runs(*minutes: float) -> list[Workflow]:
    """Write runs created so many minutes after noon, in this order."""
    now = timezone.now()
    rows = [
        Workflow(
            workflow_id=f"run-{Workflow.objects.count()}-{number}",
            name="w",
            status="SUCCESS",
            inputs="{}",
            created_at=NOON + timedelta(minutes=minute),
            updated_at=now,
        )
        for number, minute in enumerate(minutes)
    ]
    return Workflow.objects.bulk_create(rows)


def after(minutes: float) -> int:
    return first_since(NOON + timedelta(minutes=minutes))


def test_no_run_since_is_below_and_hardly_an_older_one_above() -> None:
    """A11. For every place, also where ids are missing."""
    rows = runs(*range(40))
    for row in rows[5:40:7]:
        row.delete()
    kept = list(Workflow.objects.order_by("pk"))
    for minute in (-1, 0, 0.5, 5, 6, 20, 20.5, 39, 40):
        bound = after(minute)
        assert [row.pk for row in kept if row.pk >= bound] == [
            row.pk for row in kept if row.created_at >= NOON + timedelta(minutes=minute)
        ]


def test_none_at_all_and_none_so_new() -> None:
    """A11. The list is empty then, and no error."""
    assert after(0) >= 0
    last = runs(1, 2)[-1]
    assert after(3) == last.pk + 1


def test_imported_runs_do_not_hide_what_is_beside_them() -> None:
    """A11. They are older than their neighbours."""
    before = runs(*range(10))
    runs(*[-1000] * (moments.BLOCK - 20))
    runs(*range(10, 20))
    for minute in range(20):
        bound = after(minute)
        left_out = [
            row
            for row in Workflow.objects.filter(pk__lt=bound)
            if row.created_at >= NOON + timedelta(minutes=minute)
        ]
        assert left_out == []
    assert after(5) == before[5].pk
