"""A bulk operation in real processes: killed in the middle, and cancelled while it goes on."""

import signal
from pathlib import Path

import pytest
from django.db import transaction

from durable_app.control import bulk
from durable_app.control.actors import Actor
from durable_app.control.operator import Operator
from durable_app.models import AuditEvent, BulkOperation, Status, Workflow
from tests.helpers import wait_until
from tests.processes import Program
from tests.test_admin.pages import made
from tests.test_commands.keyboard import durable

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(180)]

COUNT = 400


def done() -> int:
    return BulkOperation.objects.get().done


def test_a_killed_bulk_delete_goes_on_and_a_cancellation_gets_through(
    tmp_path: Path, worker_env: dict[str, str]
) -> None:
    """Each run's deletion commits by itself: nothing is done twice or left out, and others can write."""
    with transaction.atomic():
        for _ in range(COUNT):
            made(Status.SUCCESS, name="long_gone")
    number = bulk.begin(Operator(actor=Actor.at_terminal("me")), "delete", {"name": "long_gone"})

    killed = Program(("durable_worker",), worker_env, tmp_path / "killed.log")
    try:
        wait_until(lambda: done() > 5)
        killed.signal(signal.SIGKILL)
        killed.ended()
    finally:
        killed.kill()
    before = done()

    going = Program(("durable_worker",), worker_env, tmp_path / "going.log")
    try:
        wait_until(lambda: done() > before)
        said = durable("bulk", "cancel", str(number))
        assert (said.code, said.err) == (0, ""), (said, done(), going.output)
        assert Workflow.objects.get(name=bulk.WORKFLOW).status == Status.CANCELLED
        going.signal()
        going.ended()
    finally:
        going.kill()
    assert before < done() < COUNT
    assert "is locked" not in going.output
    assert Workflow.objects.filter(name="long_gone").count() == COUNT - done()
    deleted = AuditEvent.objects.filter(verb="delete", outcome="done").values_list("target_id", flat=True)
    assert len(deleted) == len(set(deleted)) == done()
