"""Forking with other arguments: what is copied, what is checked, and what nobody gets to know."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User

from durable_app import (
    InvalidArgumentsError,
    NonExistentWorkflowError,
    SerializationError,
    SetWorkflowID,
    WorkflowFunctionNotFoundError,
    fork_workflow,
    get_result,
    get_workflow_status,
    start_workflow,
    step,
    workflow,
)
from durable_app.control.actors import Actor
from durable_app.control.inputs import Inputs
from durable_app.control.operator import Operator
from durable_app.models import AuditEvent, Workflow
from durable_app.worker.worker import Worker
from tests.test_admin.pages import made, with_steps

noted: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_noted_yet() -> Iterator[None]:
    noted.clear()
    yield


@step
def note_input(what: Any) -> Any:
    noted.append(what)
    return what


@workflow(name="fork_inputs.order")
def order(number: Any, *, amount: Any = 1) -> list[Any]:
    return [note_input(number), note_input(amount), note_input(number)]


@workflow(name="fork_inputs.portable", serialization_type="portable")
def portable(number: Any) -> Any:
    return number


@workflow(name="fork_inputs.operator")
def operates(original: str) -> str:
    return fork_workflow(original, 1, args=["by a run"]).workflow_id


class Shelf:
    @workflow(name="fork_inputs.method")
    @classmethod
    def method(cls, number: int) -> int:
        return number


def inputs_of(workflow_id: str) -> Any:
    status = get_workflow_status(workflow_id)
    assert status is not None
    return status.input


@pytest.mark.django_db(transaction=True)
def test_copied_steps_keep_what_they_made_of_the_old_arguments(worker: Worker) -> None:
    """Only what runs again sees the new ones; they replace all arguments, and keep their types."""
    with SetWorkflowID("first"):
        start_workflow(order, "old", amount=2)
    assert get_result("first") == ["old", 2, "old"]
    noted.clear()
    fork = fork_workflow("first", 2, args=["new"], kwargs={"amount": Decimal("1.50")})
    assert fork.get_result(timeout=60) == ["old", Decimal("1.50"), "new"]
    assert noted == [Decimal("1.50"), "new"]
    assert fork_workflow("first", 1, args=["new"]).get_result(timeout=60) == ["new", 1, "new"]
    assert inputs_of("first") == {"args": ["old"], "kwargs": {"amount": 2}}
    again = start_workflow(operates, "first").get_result(timeout=60)
    assert get_result(again) == ["by a run", 1, "by a run"]


@pytest.mark.django_db
def test_each_run_keeps_its_format() -> None:
    """A portable run's fork has portable arguments."""
    handle = start_workflow(portable, 1)
    fork = fork_workflow(handle.workflow_id, 1, args=[{"a": 2}])
    row = Workflow.objects.get(workflow_id=fork.workflow_id)
    assert (row.serialization, row.inputs) == ("portable_json", '{"positionalArgs":[{"a":2}],"namedArgs":{}}')


@pytest.mark.django_db
def test_arguments_that_cannot_be_are_refused_and_nothing_is_made() -> None:
    """They must fit the function of this process, and be storable."""
    run = start_workflow(order, "x").workflow_id
    method = made(name=Shelf.method.name, class_name="Shelf").workflow_id
    own = made(name="durable.bulk_operation").workflow_id
    wrong: list[tuple[str, dict[str, Any], type[Exception]]] = [
        (run, {"args": []}, InvalidArgumentsError),
        (run, {"args": [1, 2]}, InvalidArgumentsError),
        (run, {"kwargs": {"number": 1, "colour": 2}}, InvalidArgumentsError),
        (run, {"args": [object()]}, SerializationError),
        (method, {"args": []}, InvalidArgumentsError),
        (own, {"args": [1]}, WorkflowFunctionNotFoundError),
        (made(name="fork_inputs.gone").workflow_id, {"args": [1]}, WorkflowFunctionNotFoundError),
        ("nobody", {"args": [1]}, NonExistentWorkflowError),
    ]
    for workflow_id, options, expected in wrong:
        with pytest.raises(expected):
            fork_workflow(workflow_id, 1, **options)
    assert not Workflow.objects.filter(forked_from__isnull=False).exists()
    assert inputs_of(fork_workflow(method, 1, args=[3]).workflow_id) == {"args": [3], "kwargs": {}}


def somebody(*codenames: str) -> Operator:
    user = User.objects.create_user("-".join(codenames))
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return Operator(actor=Actor(kind="user", id=str(user.pk), label="ann", user=user), reason="typo")


@pytest.mark.django_db
def test_who_chooses_arguments_must_be_allowed_to_start() -> None:
    """A9. Either permission alone is denied; the audit tells that they were edited, never what they are."""
    run = with_steps(made(name=order.name), "a", "b").workflow_id
    inputs = Inputs(args=["secret"])
    for held in ("fork_workflow", "start_workflow"):
        person = somebody("view_workflow", held)
        assert person.fork(run, 2, inputs=inputs).outcome == "denied"
        assert person.fork("nobody", 2, inputs=inputs).outcome == "denied"
    assert not Workflow.objects.filter(forked_from=run).exists()
    both = somebody("view_workflow", "fork_workflow", "start_workflow")
    assert both.fork("nobody", 2, inputs=inputs).is_missing
    AuditEvent.objects.all().delete()
    made_run = both.fork(run, 2, inputs=inputs).made
    assert inputs_of(made_run) == {"args": ["secret"], "kwargs": {}}
    [event] = AuditEvent.objects.all()
    assert event.details == {"start_step": 2, "inputs": "edited", "made": made_run}
    assert both.fork(run, 2, inputs=Inputs()).outcome == "failed"
