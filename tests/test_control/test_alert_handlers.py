"""The ready-made handlers: a mail that is really sent, and a webhook that a real server receives."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import django
import pytest
from django.core import mail
from django.core.exceptions import ImproperlyConfigured

from durable_app import alert_handlers, get_workflow_status, list_workflows, start_workflow
from durable_app.control import alerts
from durable_app.models import SentAlert, Workflow
from durable_app.models import Worker as WorkerRow
from durable_app.retry import Retry
from durable_app.worker.maintenance import Alerts
from durable_app.worker.worker import Worker
from tests.helpers import wait_until
from tests.shop.workflows import sum_of_three

EMAIL = "durable_app.alert_handlers.email"
WEBHOOK = "durable_app.alert_handlers.webhook"
BREAKS = f"{__name__}.breaks"

SLOW = {"queue_name": "mail", "stuck_workflow_count": "2"}

broken: list[str] = []


def breaks(name: str, message: str, metadata: dict[str, str]) -> None:
    broken.append(name)
    raise OSError("nobody answers")


class Inbox(BaseHTTPRequestHandler):
    """Takes what is posted, and answers as it is told."""

    received: list[tuple[str, dict[str, str], Any]]
    answers: list[int]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.received.append((self.command, dict(self.headers), json.loads(body)))
        self._answer(self.answers.pop(0) if self.answers else 204)

    def do_GET(self) -> None:
        self.received.append((self.command, dict(self.headers), None))
        self._answer(200)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


@contextmanager
def serving(*answers: int) -> Iterator[Any]:
    """Serve an inbox on a port of its own; yield it, with its ``url``."""
    inbox: Any = type("OneInbox", (Inbox,), {"received": [], "answers": list(answers)})
    with ThreadingHTTPServer(("127.0.0.1", 0), inbox) as server:
        inbox.url = f"http://127.0.0.1:{server.server_port}/hook"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield inbox
        finally:
            server.shutdown()
            thread.join()


def test_the_webhook_is_posted_as_json(settings: Any) -> None:
    """To a real server."""
    with serving() as inbox:
        settings.DURABLE = {"ALERT_WEBHOOK": inbox.url}
        alert_handlers.webhook("SlowQueue", "2 runs wait.", SLOW)
    [(method, headers, body)] = inbox.received
    assert method == "POST"
    assert headers["Content-Type"] == "application/json"
    assert body == {"name": "SlowQueue", "message": "2 runs wait.", "metadata": SLOW}


@pytest.mark.parametrize("status", [302, 307, 404, 500])
def test_a_webhook_that_is_not_taken_is_an_error(settings: Any, status: int) -> None:
    """So that it is tried again. A redirect would be followed by a GET that carries nothing."""
    with serving(status) as inbox:
        settings.DURABLE = {"ALERT_WEBHOOK": inbox.url}
        with pytest.raises(OSError, match=str(status)):
            alert_handlers.webhook("SlowQueue", "", SLOW)
    assert [method for method, *_ in inbox.received] == ["POST"]


@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "ftp://example.com"])
def test_a_webhook_goes_over_http_alone(settings: Any, url: str) -> None:
    """Whatever is wrong with it."""
    settings.DURABLE = {"ALERT_WEBHOOK": url}
    with pytest.raises(ImproperlyConfigured, match="URL of a webhook"):
        alert_handlers.webhook("SlowQueue", "", SLOW)


@pytest.mark.django_db(transaction=True)
def test_each_handler_is_told_with_retries_and_the_worker_goes_on(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One never works, one works at the second try, one is the mail: and runs go on beside it."""
    monkeypatch.setattr(Retry, "delay_before", lambda retry, attempt: 0.0)
    broken.clear()
    settings.ADMINS = ["ann@example.com" if django.VERSION >= (6,) else ("Ann", "ann@example.com")]
    settings.MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}  # 6.1
    with serving(503) as inbox:
        settings.DURABLE = {
            "ALERT_WEBHOOK": inbox.url,
            "ALERTS": {"HANDLERS": [BREAKS, WEBHOOK, EMAIL], "WORKERS": 2},
        }
        alerts.send_due()
        with Worker(threads=2):
            other = start_workflow(sum_of_three, 1, 2, 3)
            assert other.get_result(timeout=30) == 6
            wait_until(lambda: mail.outbox)
            [told] = list_workflows(name=alerts.WORKFLOW)
            wait_until(lambda: Workflow.objects.get(workflow_id=told.workflow_id).status == "ERROR")
    assert broken == ["UnresponsiveApplication"] * 5
    assert [body["name"] for _method, _headers, body in inbox.received] == ["UnresponsiveApplication"] * 2
    keys = {headers["Idempotency-Key"] for _method, headers, _body in inbox.received}
    assert keys == {told.workflow_id}, "a repeated delivery is told by it"
    assert "0 workers are alive, and 2 should be." in mail.outbox[0].body
    assert get_workflow_status(told.workflow_id) is not None
    settings.DURABLE = {"ALERTS": {"HANDLERS": [EMAIL], "FAILURES": 1}}
    assert alerts.due() == [], "that an alert cannot be sent is no alert"


def aged(**span: float) -> None:
    for sent in SentAlert.objects.all():
        SentAlert.objects.filter(pk=sent.pk).update(sent_at=sent.sent_at - timedelta(**span))


@pytest.mark.django_db(transaction=True)
def test_an_episode_is_told_once_and_the_next_one_again(settings: Any) -> None:
    """While it lasts only after REPEAT; once it was over, at once: but not in five minutes."""
    rules = {"HANDLERS": [EMAIL], "SLOW_QUEUE": timedelta(minutes=1)}
    settings.DURABLE = {"ALERTS": rules}
    handle = start_workflow(sum_of_three, 1, 2, 3)
    stuck = Workflow.objects.filter(workflow_id=handle.workflow_id)
    stuck.update(enqueued_at=handle.get_status().created_at - timedelta(hours=1), queue_name="mail")
    assert [alerts.send_due(), alerts.send_due()] == [1, 0]
    stuck.update(status="PENDING")
    assert alerts.send_due() == 0
    stuck.update(status="ENQUEUED")
    assert alerts.send_due() == 0, "what comes and goes is told every five minutes at most"
    aged(minutes=6)
    assert alerts.send_due() == 0, "it lasts still"
    stuck.update(status="PENDING")
    assert alerts.send_due() == 0
    assert not SentAlert.objects.exists()
    stuck.update(status="ENQUEUED")
    assert alerts.send_due() == 1
    aged(hours=2)
    assert alerts.send_due() == 1


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_is_started_anew_is_not_missed(settings: Any) -> None:
    """Neither while its successor starts, nor while the first ones of all do."""
    settings.DURABLE = {"ALERTS": {"HANDLERS": [EMAIL], "WORKERS": 1}}
    service = Alerts(30)
    service.tick()
    assert not SentAlert.objects.exists(), "the first look comes after an interval"
    with Worker(threads=1) as worker:
        assert alerts.due() == []
    assert alerts.due() == [], "it has just stopped"
    lease = worker.incarnation.lease.id
    row = WorkerRow.objects.get(pk=lease)
    assert row.stopped_at is not None
    WorkerRow.objects.update(stopped_at=row.stopped_at - timedelta(minutes=2))
    service.tick()
    assert SentAlert.objects.get().key == "UnresponsiveApplication workers"
