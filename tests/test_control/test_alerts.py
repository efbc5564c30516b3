"""Alerts: what the rules say, told once by all workers together."""

from datetime import timedelta
from typing import Any

import django
import pytest
from django.core import mail
from django.core.exceptions import ImproperlyConfigured

from durable_app import start_workflow, workflow
from durable_app.control import alerts
from durable_app.models import SentAlert, Workflow
from durable_app.worker.worker import Worker
from tests.helpers import wait_until
from tests.racing import raced

pytestmark = pytest.mark.django_db(transaction=True)

told: list[tuple[str, str, dict[str, str]]] = []


def tell(name: str, message: str, metadata: dict[str, str]) -> None:
    told.append((name, message, metadata))


@workflow
def breaks_down() -> None:
    raise ValueError("broken")


TELL = f"{__name__}.tell"


@pytest.fixture(autouse=True)
def fresh() -> None:
    told.clear()


def fail(times: int) -> None:
    for _ in range(times):
        with pytest.raises(ValueError, match="broken"):
            breaks_down()


def test_many_failures_are_told_once_by_all_workers(settings: Any) -> None:
    """286. Four workers look at once; the handler is called once, and again only after a while."""
    settings.DURABLE = {"ALERTS": {"HANDLERS": [TELL], "FAILURES": 3}}
    fail(2)
    assert alerts.send_due() == 0
    fail(1)
    assert sum(raced(*[alerts.send_due] * 4)) == 1
    with Worker(threads=1):
        wait_until(lambda: told)
    assert alerts.send_due() == 0
    [(name, message, metadata)] = told
    assert name == "WorkflowFailure"
    assert "3 runs of 'breaks_down'" in message
    assert metadata == {
        "workflow_name": "breaks_down",
        "failed_workflow_count": "3",
        "threshold": "3",
        "period_secs": "300",
    }
    SentAlert.objects.update(sent_at=SentAlert.objects.get().sent_at - timedelta(hours=2))
    assert alerts.send_due() == 1


def test_a_slow_queue_and_missing_workers_are_told(settings: Any) -> None:
    """286. Both have the seed system's names and data."""
    settings.DURABLE = {"ALERTS": {"HANDLERS": [TELL], "SLOW_QUEUE": timedelta(minutes=1), "WORKERS": 1}}
    handle = start_workflow(breaks_down)
    Workflow.objects.update(enqueued_at=handle.get_status().created_at - timedelta(minutes=2))
    found = {one.name: one for one in alerts.due()}
    assert found["SlowQueue"].metadata == {
        "queue_name": "default",
        "stuck_workflow_count": "1",
        "threshold_secs": "60",
    }
    assert found["UnresponsiveApplication"].metadata["connected_executor_count"] == "0"


def test_the_mail_goes_to_the_admins(settings: Any) -> None:
    """The ready-made handler."""
    address = "ann@example.com"
    settings.ADMINS = [address if django.VERSION >= (6,) else ("Ann", address)]
    settings.MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}  # 6.1
    settings.DURABLE = {"ALERTS": {"HANDLERS": ["durable_app.alert_handlers.email"], "FAILURES": 1}}
    fail(1)
    with Worker(threads=1):
        alerts.send_due()
        wait_until(lambda: mail.outbox)
    assert "WorkflowFailure" in mail.outbox[0].subject


@pytest.mark.parametrize("given", [{"FAILURE": 3}, {"FAILURES": "3"}, {"HANDLERS": "x.y"}, {"WORKERS": None}])
def test_rules_that_cannot_be_are_named(settings: Any, given: dict[str, Any]) -> None:
    """Whatever is wrong with it."""
    settings.DURABLE = {"ALERTS": given}
    with pytest.raises(ImproperlyConfigured, match=r"ALERTS"):
        alerts.rules()
