"""The tree of errors: as drawn, public, and able to cross process borders."""

import copy
import inspect
import pickle
import re

import pytest

import durable_app
from durable_app import errors

SAMPLES: dict[str, BaseException] = {
    "NotInWorkflowError": errors.NotInWorkflowError("recv"),
    "NotAllowedInStepError": errors.NotAllowedInStepError("sleep()", "pay"),
    "SynchronousCallError": errors.SynchronousCallError("send()", "asend()"),
    "OpenTransactionError": errors.OpenTransactionError("get_result()", "default"),
    "TransactionLeftOpenError": errors.TransactionLeftOpenError("the step 'pay'", "default"),
    "NonExistentWorkflowError": errors.NonExistentWorkflowError("order-1", "`send` destination"),
    "ConflictingWorkflowError": errors.ConflictingWorkflowError("order-1", "class name", "A", "B"),
    "WorkflowIDInUseError": errors.WorkflowIDInUseError("order-1", "PENDING", "checkout"),
    "PermissionDeniedError": errors.PermissionDeniedError("cancel", "cancel_workflow"),
    "InvalidAnswerError": errors.InvalidAnswerError({"amount": ["too much"]}),
    "NonExistentApprovalError": errors.NonExistentApprovalError(7),
    "StreamTimeoutError": errors.StreamTimeoutError("order-1", "tokens", 2.0),
    "StreamNondeterminismError": errors.StreamNondeterminismError("order-1", "tokens"),
    "QueueDeduplicatedError": errors.QueueDeduplicatedError("order-1", "mail", "ann"),
    "NonExistentQueueError": errors.NonExistentQueueError("mail"),
    "NonExistentVersionError": errors.NonExistentVersionError("2026.11"),
    "NotAuthorizedError": errors.NotAuthorizedError("refund", ["admin", "clerk"], "ann"),
    "NotAllowedInWorkflowError": errors.NotAllowedInWorkflowError("trigger_schedule"),
    "NonExistentScheduleError": errors.NonExistentScheduleError("nightly"),
    "ScheduleExistsError": errors.ScheduleExistsError("nightly"),
    "InvalidTransitionError": errors.InvalidTransitionError("order-1", "PENDING", "be rewound"),
    "MaxStepRetriesExceeded": errors.MaxStepRetriesExceeded("pay", [ValueError("one"), KeyError("two")]),
    "StepTimeoutError": errors.StepTimeoutError("pay", 0.5),
    "RetryAfter": errors.RetryAfter(30, "busy"),
    "ResultTimeoutError": errors.ResultTimeoutError("order-1", 2.0),
    "CompensationError": errors.CompensationError("order-1-compensation", ["'refund' failed: ValueError"]),
    "UnexpectedStepError": errors.UnexpectedStepError(
        "order-1", 3, expected="pay", recorded="ship", line="shop.py:3"
    ),
    "StepNondeterminismError": errors.StepNondeterminismError("order-1", 3, "two outcomes were recorded"),
    "PatchNondeterminismError": errors.PatchNondeterminismError("order-1", "mail-first"),
    "AwaitedWorkflowCancelledError": errors.AwaitedWorkflowCancelledError("order-1"),
    "AwaitedWorkflowMaxRecoveryAttemptsExceeded": errors.AwaitedWorkflowMaxRecoveryAttemptsExceeded(
        "order-1"
    ),
    "WorkflowError": errors.WorkflowError("shop.Sold", "sold out", "Traceback"),
    "PortableWorkflowError": errors.PortableWorkflowError("sold out", "Sold", 409, {"left": 0}),
    "QueryTimeoutError": errors.QueryTimeoutError(30.0),
    "ControlFlow": errors.ControlFlow("order-1"),
    "WorkflowCancelled": errors.WorkflowCancelled("order-1"),
    "OwnershipLost": errors.OwnershipLost("order-1", "is gone"),
    "Suspended": errors.Suspended("order-1"),
    "ContinuedAsNew": errors.ContinuedAsNew("order-1", 7, "{}", "json"),
}

CLASSES = {
    name: found
    for name, found in vars(errors).items()
    if inspect.isclass(found)
    and issubclass(found, BaseException)
    and found.__module__.startswith(errors.__name__)
}


def sample(name: str) -> BaseException:
    return SAMPLES.get(name) or CLASSES[name]("something went wrong")


def drawn() -> dict[str, tuple[str | None, list[str]]]:
    """Read the docstring's tree: name → (parent, names in parentheses)."""
    path: list[str] = []
    tree: dict[str, tuple[str | None, list[str]]] = {}
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^((?:[│ ]   )*(?:[├└]── )?)([A-Z]\w+)(?: {2,}(?:\((\w+)\))?.*)?$", line)
        if found is None:
            continue
        level = len(found[1]) // 4
        path = [*path[:level], found[2]]
        tree[found[2]] = (path[-2] if level else None, [found[3]] if found[3] else [])
    return tree


def test_the_drawn_tree_is_the_tree_of_classes() -> None:
    tree = drawn()
    assert sorted(tree) == sorted(CLASSES)
    for name, (parent, extra) in tree.items():
        bases = [base.__name__ for base in CLASSES[name].__bases__]
        assert bases == [*([parent] if parent else []), *extra], name


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_error_is_public_and_explains_itself(name: str) -> None:
    assert getattr(durable_app, name) is CLASSES[name]
    assert inspect.getdoc(CLASSES[name])
    assert "__doc__" in vars(CLASSES[name])


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_error_survives_pickling_and_copying(name: str) -> None:
    """271. Type, sentence and data are the same on the other side, however the class is constructed."""
    error = sample(name)
    for found in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(found) is type(error)
        assert str(found) == str(error)
        assert found.args == error.args
        assert str(vars(found)) == str(vars(error))


def test_what_ends_a_workflow_from_outside_passes_except_exception() -> None:
    """294. WorkflowCancelled, OwnershipLost and Suspended are no Exceptions; all else is a DurableError."""
    for name, found in CLASSES.items():
        if issubclass(found, errors.ControlFlow):
            assert not issubclass(found, Exception), name
        else:
            assert issubclass(found, errors.DurableError), name


def test_errors_stay_what_python_and_the_seed_call_them() -> None:
    """16. 49. 65. Callers may catch them as TypeError, ValueError, RuntimeError, TimeoutError."""
    assert issubclass(errors.SerializationError, TypeError)
    assert issubclass(errors.PayloadTooLargeError, errors.SerializationError)
    assert issubclass(errors.InvalidWorkflowIDError, ValueError)
    assert issubclass(errors.InvalidOptionError, ValueError)
    assert issubclass(errors.SynchronousCallError, RuntimeError)
    assert issubclass(errors.ResultTimeoutError, TimeoutError)


def test_the_data_of_an_error_is_in_its_attributes() -> None:
    unexpected = SAMPLES["UnexpectedStepError"]
    assert vars(unexpected) == {
        "workflow_id": "order-1",
        "step_id": 3,
        "expected": "pay",
        "recorded": "ship",
        "line": "shop.py:3",
    }
    assert all(part in str(unexpected) for part in ("'pay'", "'ship'", "shop.py:3", "step 3"))
    retries = SAMPLES["MaxStepRetriesExceeded"]
    assert isinstance(retries, errors.MaxStepRetriesExceeded)
    assert (retries.step_name, retries.max_retries) == ("pay", 2)
    assert "KeyError: 'two'" in str(retries)
