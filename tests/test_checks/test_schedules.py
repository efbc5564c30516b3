"""Schedules that cannot do what they say, in code and in the database; and cron."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.checks import CheckMessage, Tags, run_checks

from durable_app import InvalidOptionError, Queue, clock, scheduled
from durable_app.models import Queue as QueueRow
from durable_app.models import Schedule
from durable_app.registry import registry
from tests.shop.workflows import sum_of_three
from tests.test_checks.asking import messages, said


def stored(databases: list[str] | None = None) -> list[CheckMessage]:
    found = run_checks(tags=[Tags.database], databases=databases or ["default"])
    return [message for message in found if str(message.id).startswith("durable.")]


def test_e005_a_cron_expression_in_code_is_checked_when_it_is_imported():
    """E005: the sentence names the field; the module's import fails at its line."""
    with pytest.raises(InvalidOptionError, match="minute"):
        scheduled("61 3 * * *", name="never")


def test_w006_a_queue_that_no_code_declares(monkeypatch: pytest.MonkeyPatch):
    """W006: a slip of the pen, most likely; the hint's line silences it."""
    monkeypatch.setattr(registry, "schedules", {})
    monkeypatch.setattr(registry, "queues", {})
    scheduled("0 3 * * *", name="plain")(sum_of_three)
    scheduled("0 3 * * *", name="default", queue="default")(sum_of_three)
    scheduled("0 3 * * *", name="declared", queue="reports")(sum_of_three)
    assert said() == ["durable.W006"]
    message = messages()[-1]
    assert "'declared' starts its runs in the queue 'reports'" in message.msg
    assert str(message.hint).startswith('Queue("reports")')
    Queue("reports")
    assert said() == []


def row(name: str, **fields: Any) -> None:
    now = clock.now()
    usual = {"workflow_name": sum_of_three.name, "cron": "0 3 * * *", "created_at": now, "updated_at": now}
    Schedule.objects.create(name=name, **{**usual, **fields})


@pytest.mark.django_db(databases=["default", "other"])
def test_w005_and_w006_schedules_in_the_database():
    """W005, W006: an old row, perhaps; nothing is looked at unless the database is named."""
    row("good")
    row("elsewhere", queue_name="made")
    row("paused", workflow_name="gone.away", status="PAUSED")
    QueueRow.objects.create(name="made", created_at=clock.now(), updated_at=clock.now())
    assert stored() == []
    row("bad cron", cron="61 * * * *")
    row("gone", workflow_name="gone.away")
    row("nowhere", queue_name="nowhere")
    found = {message.msg.split("'")[1]: message for message in stored()}
    assert {name: message.id for name, message in found.items()} == {
        "bad cron": "durable.W005",
        "gone": "durable.W006",
        "nowhere": "durable.W006",
    }
    assert "minute" in found["bad cron"].msg
    assert not any(message.is_serious() for message in found.values()), "migrate must go on"
    assert stored(["other"]) == []


def test_w017_a_tick_of_cron_that_is_shorter_than_a_lease(settings: Any):
    """W017: only where cron is to run it."""
    short = {"CRON_BUDGET": timedelta(seconds=20)}
    settings.DURABLE = short
    assert said() == []
    settings.CRONJOBS = ["nonsense", ("* * * * *", "durable_app.cron.tick")]
    assert said() == ["durable.W017"]
    settings.DURABLE = {**short, "LEASE": timedelta(seconds=10)}
    assert said() == []
