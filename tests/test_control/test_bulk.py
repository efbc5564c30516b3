"""One verb on many runs: a workflow does it, run by run, once each."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User

from durable_app import InvalidOptionError, PermissionDeniedError, list_workflows, start_workflow, workflow
from durable_app.control import bulk
from durable_app.control.actors import Actor
from durable_app.control.operator import Operator
from durable_app.models import AuditEvent, BulkOperation, Workflow
from durable_app.worker.worker import Worker
from tests.helpers import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

ME = Operator(actor=Actor.at_terminal("me"), reason="cleaning up")


@workflow
def waiting_in_line() -> None:
    pass


def lined_up(count: int) -> list[str]:
    return [start_workflow(waiting_in_line).workflow_id for _ in range(count)]


def finished(number: int) -> BulkOperation:
    wait_until(lambda: BulkOperation.objects.get(pk=number).finished_at)
    return BulkOperation.objects.get(pk=number)


NAMED = {"name": waiting_in_line.name}


def test_all_that_match_now_and_none_that_come_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A3. In several batches; what cannot be done is counted with its outcome."""
    monkeypatch.setattr(bulk, "carry_out", lambda number, **how: carry_out(number, limit=2))
    ids = lined_up(5)
    Workflow.objects.filter(workflow_id=ids[0]).update(status="SUCCESS")
    number = bulk.begin(ME, "cancel", NAMED)
    later = lined_up(1)
    Workflow.objects.filter(workflow_id__in=later).update(queue_name="elsewhere")
    Workflow.objects.filter(workflow_id__in=ids).update(queue_name="elsewhere")

    with Worker(threads=1):
        done = finished(number)
    assert (done.matched, done.done, done.refused, done.failed) == (5, 4, 1, 0)
    left = {run.workflow_id for run in list_workflows(status="ENQUEUED")}
    assert left == set(later)
    events = AuditEvent.objects.filter(bulk_operation=str(number))
    assert events.count() == 5
    assert set(events.values_list("reason", flat=True)) == {"cleaning up"}


carry_out = bulk.carry_out


def test_a_batch_that_is_repeated_does_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash in the middle: every run is retried into one new run."""
    ids = lined_up(4)
    Workflow.objects.filter(workflow_id__in=ids).update(status="ERROR", queue_name="elsewhere")
    number = bulk.begin(ME, "retry", NAMED)
    original, calls = bulk._do_one, []

    def crashing(*args: Any) -> None:
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        original(*args)

    monkeypatch.setattr(bulk, "_do_one", crashing)
    with pytest.raises(KeyboardInterrupt):
        carry_out(number)
    carry_out(number)
    carry_out(number)
    forks = Workflow.objects.filter(forked_from__in=ids)
    assert sorted(forks.values_list("forked_from", flat=True)) == sorted(ids)
    assert BulkOperation.objects.get(pk=number).done == 4


def test_a_step_of_an_operation_ends_in_time() -> None:
    """31. It hears of a cancellation only between two of its steps."""
    ids = lined_up(3)
    Workflow.objects.filter(workflow_id__in=ids).update(queue_name="elsewhere")
    number = bulk.begin(ME, "cancel", NAMED)
    for count in (1, 2, 3):
        assert carry_out(number, seconds=0)
        assert BulkOperation.objects.get(pk=number).done == count
    assert not carry_out(number, seconds=0)


def test_permissions_taken_away_meanwhile_do_not_hold() -> None:
    """Each run is done with the permissions of that moment."""
    ids = lined_up(2)
    Workflow.objects.filter(workflow_id__in=ids).update(queue_name="elsewhere")
    user = User.objects.create_user("ann")
    user.user_permissions.set(Permission.objects.filter(codename="cancel_workflow"))
    ann = Operator(actor=Actor(kind="user", id=str(user.pk), label="ann", user=User.objects.get()))
    number = bulk.begin(ann, "cancel", NAMED)
    user.user_permissions.clear()
    carry_out(number)
    found = BulkOperation.objects.get(pk=number)
    assert (found.done, found.denied) == (0, 2)
    assert Workflow.objects.filter(status="CANCELLED").count() == 0


def test_bad_operations_are_refused_before_anything_is_written() -> None:
    """Whatever is wrong with it."""
    for verb, conditions in (("fork", {}), ("dance", {}), ("cancel", {"colour": "red"})):
        with pytest.raises(InvalidOptionError):
            bulk.begin(ME, verb, conditions)
    user = User.objects.create_user("bob")
    bob = Operator(actor=Actor(kind="user", id=str(user.pk), label="bob", user=user))
    with pytest.raises(PermissionDeniedError):
        bulk.begin(bob, "cancel", NAMED)
    assert not BulkOperation.objects.exists()
    assert AuditEvent.objects.get().outcome == "denied"
