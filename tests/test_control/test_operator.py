"""Operators' verbs: permission, state and audit are one rule for every surface."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User

from durable_app import (
    PermissionDeniedError,
    SetEnqueueOptions,
    SetWorkflowID,
    enqueue,
    get_workflow_status,
    recv,
    register_queue,
    retrieve_queue,
    retrieve_workflow,
    start_workflow,
    step,
    workflow,
)
from durable_app.control import queues
from durable_app.control.actors import Actor, Policy, policy
from durable_app.control.operator import Operator
from durable_app.control.starting import Order, order_like, start
from durable_app.control.verbs import VERBS
from durable_app.models import AuditEvent, Status, Workflow
from durable_app.worker.worker import Worker
from tests.helpers import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

ran: list[Any] = []


@step
def note(value: Any) -> Any:
    ran.append(value)
    return value


@step
def fails_once(value: Any) -> Any:
    ran.append("try")
    if ran.count("try") == 1:
        raise ValueError("not yet")
    return value


@workflow
def takes_note(value: Any = 1, *, also: Any = None) -> Any:
    return [note(value), also]


@workflow
def fails_then_works(value: Any = 1) -> Any:
    note(value)
    return fails_once(value)


@workflow
def hears() -> Any:
    return recv("word", timeout_seconds=60)


@pytest.fixture(autouse=True)
def fresh() -> None:
    ran.clear()


ME = Operator(actor=Actor.at_terminal("me"), reason="because")


def somebody(*codenames: str) -> Operator:
    user = User.objects.create_user("ann")
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return Operator(actor=Actor(kind="user", id=str(user.pk), label="ann", user=user), reason="asked")


def made(status: str) -> str:
    with SetWorkflowID(f"is {status}"):
        handle = start_workflow(takes_note)
    Workflow.objects.update(status=status)
    return handle.workflow_id


ACTS: dict[str, Any] = {
    "cancel": lambda operator, one: operator.cancel([one])[0],
    "resume": lambda operator, one: operator.resume([one])[0],
    "run_now": lambda operator, one: operator.run_now([one])[0],
    "retry": lambda operator, one: operator.retry([one])[0],
    "fork": lambda operator, one: operator.fork(one, 1),
    "rewind": lambda operator, one: operator.rewind(one, 1),
    "send": lambda operator, one: operator.send([one], "hello")[0],
    "delete": lambda operator, one: operator.delete([one])[0],
}


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("verb", ACTS)
def test_each_verb_works_in_the_states_of_the_table_and_is_refused_in_the_others(
    verb: str, status: str
) -> None:
    """The matrix of states; either way there is one audit event that says so."""
    result = ACTS[verb](ME, made(status))
    expected = "done" if status in VERBS[verb].possible_in else "refused"
    assert result.outcome == expected, result.detail
    [event] = AuditEvent.objects.all()
    assert (event.verb, event.outcome, event.target_id) == (verb, expected, f"is {status}")
    assert (event.actor_kind, event.actor_label, event.reason) == ("cli", "me", "because")


@pytest.mark.parametrize("verb", ACTS)
def test_without_the_permission_nothing_happens_but_an_audit_event(verb: str) -> None:
    """All other permissions do not help; its own does."""
    status = min(VERBS[verb].possible_in)
    workflow_id = made(status)
    own = VERBS[verb].permission
    before = Workflow.objects.values().get()
    every_other = Permission.objects.exclude(codename=own).values_list("codename", flat=True)

    operator = somebody(*every_other)
    assert ACTS[verb](operator, workflow_id).outcome == "denied"
    assert Workflow.objects.values().get() == before
    assert [event.outcome for event in AuditEvent.objects.all()] == ["denied"]
    assert ACTS[verb](operator, "unknown").outcome == "denied"

    operator.actor.user.user_permissions.set(Permission.objects.filter(codename=own))
    fresh_user = User.objects.get(pk=operator.actor.user.pk)
    allowed = Operator(actor=Actor(kind="user", id="1", label="ann", user=fresh_user))
    assert ACTS[verb](allowed, workflow_id).outcome == "done"


def test_one_that_cannot_be_done_does_not_stop_the_others() -> None:
    """Each target has a result of its own; repeated ids count once."""
    first, second = (start_workflow(takes_note).workflow_id for _ in range(2))
    results = ME.cancel([first, "unknown", second, first])
    assert [(one.target, one.outcome) for one in results] == [
        (first, "done"),
        ("unknown", "failed"),
        (second, "done"),
    ]


def test_retry_goes_on_at_the_failed_step_and_leaves_the_old_run(worker: Worker) -> None:
    """113, A4. Results before it are copied; the failed step runs again."""
    handle = start_workflow(fails_then_works, 7)
    with pytest.raises(ValueError, match="not yet"):
        handle.get_result(timeout=30)
    [result] = ME.retry([handle.workflow_id])
    assert retrieve_workflow(result.made).get_result(timeout=30) == 7
    assert ran == [7, "try", "try"]
    assert handle.get_status().status == "ERROR"


def test_run_now_passes_the_queue_and_its_delay(worker: Worker) -> None:
    """A4. A delayed run on a paused queue starts."""
    register_queue("stopped")
    queue = retrieve_queue("stopped")
    assert queue is not None
    queue.pause()
    with SetEnqueueOptions(delay_seconds=3600, priority=9):
        handle = enqueue("stopped", takes_note, 5)
    assert ME.run_now([handle.workflow_id])[0].is_done
    assert handle.get_result(timeout=30) == [5, None]


def test_a_message_reaches_the_run(worker: Worker) -> None:
    """139. As one that code sends."""
    handle = start_workflow(hears)
    assert ME.send([handle.workflow_id], {"a": 1}, topic="word")[0].is_done
    assert handle.get_result(timeout=30) == {"a": 1}


def test_start_like_this_has_the_same_arguments(worker: Worker) -> None:
    """A4. And a new id; an id that exists is refused."""
    with SetWorkflowID("model"):
        start_workflow(takes_note, 3, also="x")
    order = order_like("model")
    result = start(ME, order)
    assert retrieve_workflow(result.made).get_result(timeout=30) == [3, "x"]
    again = start(ME, Order(workflow=takes_note.name, workflow_id="model"))
    assert not again.is_done
    assert "in use" in again.detail


def test_starting_needs_its_permission() -> None:
    """Denied before anything is written but the audit."""
    with pytest.raises(PermissionDeniedError, match="start_workflow"):
        start(somebody("view_workflow"), Order(workflow=takes_note.name))
    assert not Workflow.objects.exists()
    assert AuditEvent.objects.get().outcome == "denied"


class OnlyOwn(Policy):
    """Lets people act on runs that bear their name."""

    def may(self, actor: Actor, permission: str, target: Any = None) -> bool:
        return super().may(actor, permission, target) and (target is None or target.user == actor.label)


def test_a_policy_decides_for_each_run(settings: Any) -> None:
    """A tenant's operator may cancel the tenant's runs only."""
    settings.DURABLE = {"POLICY": f"{__name__}.OnlyOwn"}
    assert isinstance(policy(), OnlyOwn)
    own, foreign = (start_workflow(takes_note).workflow_id for _ in range(2))
    Workflow.objects.filter(workflow_id=own).update(user="ann")
    results = somebody("cancel_workflow").cancel([own, foreign])
    assert [one.outcome for one in results] == ["done", "denied"]


def test_limits_are_changed_with_a_record_of_the_old_ones() -> None:
    """A7. What does not fit together changes nothing."""
    register_queue("mail", concurrency=5)
    assert queues.configure(ME, "mail", {"concurrency": 3, "limiter": {"limit": 2, "period": 60}}).is_done
    assert AuditEvent.objects.get().details == {
        "before": {"concurrency": 5},
        "after": {"concurrency": 3, "limiter": {"limit": 2, "period": 60.0}},
    }
    assert queues.configure(ME, "mail", {"worker_concurrency": 9}).outcome == "failed"
    found = retrieve_queue("mail")
    assert found is not None
    assert (found.limits.concurrency, found.limits.worker_concurrency) == (3, None)


def test_a_worker_hears_what_is_asked_of_it() -> None:
    """A8. Quiet: it takes nothing more."""
    from durable_app.control import workers  # noqa: PLC0415

    with Worker(threads=1) as worker:
        found = worker.incarnation.lease.id
        assert workers.quiet(ME, found).is_done
        assert workers.recover(ME, found).outcome == "refused"
        worker.incarnation.beat()
        wait_until(lambda: not worker.claimer.accepting)
        assert workers.stop(ME, found).is_done
        worker.incarnation.beat()
        assert worker.asked_to_stop.is_set()
    assert workers.quiet(ME, found).outcome == "refused"
    assert get_workflow_status("none") is None
