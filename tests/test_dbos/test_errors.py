"""Errors under the seed's names: attributes, numbers, pickles; and each raised where it belongs."""

import asyncio
import pickle
import threading
from typing import Any

import pytest

import durable_app
from durable_app.dbos import DBOS, SetEnqueueOptions, SetWorkflowID, error
from durable_app.models import Status, Workflow
from tests.helpers import execute_again, wait_for_status

pytestmark = pytest.mark.django_db(transaction=True)


def raised(expected: type[BaseException], call: Any) -> Any:
    """Return what a call raises, after it went through pickle."""
    with pytest.raises(expected) as info:
        call()
    found: Any = info.value
    again = pickle.loads(pickle.dumps(found))
    assert type(again) is type(found)
    assert (str(again), vars(again).keys()) == (str(found), vars(found).keys())
    assert again.message == str(found)
    assert again.dbos_error_code == found.dbos_error_code
    return again


def test_one_except_catches_both_names():
    """Code of both kinds may live in one project."""
    assert issubclass(error.DBOSNonExistentWorkflowError, durable_app.DurableError)
    with pytest.raises(error.DBOSException):
        raise durable_app.NonExistentWorkflowError("w")
    with pytest.raises(durable_app.DurableError):
        raise error.DBOSInitializationError("no")


def test_control_flow_is_not_caught_by_except_exception():
    """294."""
    for cls in (error.DBOSWorkflowCancelledError, error.DBOSWorkflowConflictIDError, error.DBOSBaseException):
        assert issubclass(cls, BaseException) and not issubclass(cls, Exception)


def test_ids(dbos):
    """7, 20, 17. Conflicts, reuse and impossible ids."""

    @DBOS.workflow()
    def one():
        return 1

    @DBOS.workflow()
    def two():
        return 2

    with SetWorkflowID("w"):
        one()

    def conflicting():
        with SetWorkflowID("w"):
            two()

    found = raised(error.DBOSConflictingWorkflowError, conflicting)
    assert (found.workflow_id, found.dbos_error_code) == ("w", 9)
    assert "Workflow already exists with a different function name" in found.message

    def reusing():
        with SetWorkflowID("w", workflow_id_reuse_policy="reject"):
            one()

    found = raised(error.DBOSWorkflowIDInUseError, reusing)
    assert (found.workflow_id, found.workflow_status, found.workflow_name, found.dbos_error_code) == (
        "w", "SUCCESS", one.__qualname__, 27,
    )  # fmt: skip
    for blank in ("", "  "):
        assert raised(error.DBOSException, lambda blank=blank: SetWorkflowID(blank)).dbos_error_code is None


def test_nothing_there(dbos):
    """140, 108, 120, 166, 263. No run has the id."""
    calls = [
        lambda: DBOS.send("none", 1),
        lambda: DBOS.retrieve_workflow("none"),
        lambda: DBOS.resume_workflow("none"),
        lambda: DBOS.fork_workflow("none", 1),
        lambda: DBOS.rewind_workflow("none"),
        lambda: list(DBOS.read_stream("none", "key")),
        lambda: DBOS.retrieve_workflow("none", existing_workflow=False).get_status(),
    ]
    for call in calls:
        found = raised(error.DBOSNonExistentWorkflowError, call)
        assert (found.workflow_id, found.dbos_error_code) == ("none", 5)


def test_functions_that_are_none(dbos):
    """28."""
    found = raised(error.DBOSWorkflowFunctionNotFoundError, lambda: DBOS.start_workflow(len, []))
    assert found.dbos_error_code == 4


def test_retries(dbos):
    """50."""

    @DBOS.step(retries_allowed=True, max_attempts=3, interval_seconds=0.001)
    def never():
        raise ValueError("never")

    @DBOS.workflow()
    def tries():
        never()

    for call in (
        tries,
        lambda: DBOS.start_workflow(tries).get_result(),
        DBOS.start_workflow(never).get_result,
    ):
        found = raised(error.DBOSMaxStepRetriesExceeded, call)
        assert (found.step_name, found.max_retries, found.dbos_error_code) == (never.__qualname__, 3, 7)
        assert [str(one) for one in found.errors] == ["never"] * 3


def test_roles(dbos):
    """243, 245."""

    @DBOS.required_roles(["admin"])
    @DBOS.workflow()
    def secret():
        return 1

    found = raised(error.DBOSNotAuthorizedError, secret)
    assert found.dbos_error_code == 8
    assert found.msg == found.message
    assert raised(error.DBOSNotAuthorizedError, DBOS.start_workflow(secret).get_result)


def test_deduplication(dbos):
    """210."""

    @DBOS.workflow()
    def one():
        return 1

    DBOS.register_queue("q")

    def enqueue():
        with SetEnqueueOptions(deduplication_id="d", delay_seconds=100):
            return DBOS.enqueue_workflow("q", one)

    first = enqueue()
    found = raised(error.DBOSQueueDeduplicatedError, enqueue)
    assert (found.queue_name, found.deduplication_id, found.dbos_error_code) == ("q", "d", 12)
    assert found.workflow_id == first.workflow_id


def test_awaiting_what_ended_otherwise(dbos):
    """87, 102, 295. From outside, and as an ordinary exception inside a parent."""

    @DBOS.workflow()
    def waits():
        DBOS.recv(timeout_seconds=600)

    @DBOS.workflow()
    def parent(workflow_id):
        try:
            DBOS.get_result(workflow_id)
        except Exception as failure:  # noqa: BLE001  (what a user may write)
            return type(failure).__name__

    with SetWorkflowID("w"):
        handle = DBOS.start_workflow(waits)
    for status, expected, code in (
        ("CANCELLED", error.DBOSAwaitedWorkflowCancelledError, 13),
        ("MAX_RECOVERY_ATTEMPTS_EXCEEDED", error.DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded, 14),
    ):
        DBOS.cancel_workflow("w")
        Workflow.objects.filter(workflow_id="w").update(status=status)
        found = raised(expected, handle.get_result)
        assert (found.workflow_id, found.dbos_error_code) == ("w", code)
        assert parent("w") == expected.__name__


def test_inside_a_cancelled_workflow(dbos):
    """100. `except Exception` in the workflow does not catch it."""
    begun, go_on = threading.Event(), threading.Event()
    seen: list[BaseException] = []

    @DBOS.step()
    def some():
        begun.set()
        assert go_on.wait(30)

    @DBOS.workflow()
    def cancelled():
        try:
            some()
            DBOS.set_event("never", 1)
        except Exception:  # noqa: BLE001  (what a user may write)
            seen.clear()
        except error.DBOSWorkflowCancelledError as ended:
            seen.append(ended)
            raise

    handle = DBOS.start_workflow(cancelled)
    assert begun.wait(30)
    DBOS.cancel_workflow(handle.workflow_id)
    go_on.set()
    raised(error.DBOSAwaitedWorkflowCancelledError, handle.get_result)
    wait_for_status(handle.workflow_id, Status.CANCELLED)
    DBOS.destroy(workflow_completion_timeout_sec=10)
    (found,) = seen
    assert found.dbos_error_code == 10  # type: ignore[attr-defined]
    raised(error.DBOSWorkflowCancelledError, lambda: reraise(found))


def reraise(found: BaseException) -> None:
    raise found


def test_changed_code(dbos):
    """59. Expected and recorded names."""
    names = ["first"]

    @DBOS.workflow()
    def changes():
        return DBOS.run_step({"name": names[0]}, lambda: 1)

    with SetWorkflowID("w"):
        changes()
    names[0] = "second"
    execute_again("w")
    wait_for_status("w", Status.WAITING)
    shown = Workflow.objects.get(workflow_id="w")
    assert "'first'" in shown.waiting_for and "'second'" in shown.waiting_for
    found = raised(error.DBOSUnexpectedStepError, lambda: reraise(unexpected()))
    assert (found.inputs, found.dbos_error_code) == (("w", 1, "second", "first"), 11)


def unexpected() -> Exception:
    return error.DBOSUnexpectedStepError("w", 1, expected="second", recorded="first")


def test_streams(dbos):
    """170, 172."""
    begun = threading.Event()

    @DBOS.workflow()
    def writes():
        DBOS.write_stream("k", 1)
        begun.set()
        DBOS.recv(timeout_seconds=60)

    handle = DBOS.start_workflow(writes)
    assert begun.wait(30)
    found = raised(
        error.DBOSStreamTimeoutError,
        lambda: list(DBOS.read_stream(handle.workflow_id, "k", timeout_seconds=0.05)),
    )
    assert (found.workflow_id, found.key, found.timeout_seconds) == (handle.workflow_id, "k", 0.05)
    assert found.dbos_error_code == 16
    DBOS.send(handle.workflow_id, "end")
    handle.get_result()
    raised(
        error.DBOSStreamTimeoutError,
        lambda: DBOS.read_stream_offset(handle.workflow_id, "k", 7, timeout_seconds=30),
    )


def test_step_timeout(dbos):
    """56."""

    @DBOS.step(timeout_seconds=0.01)
    async def slow():
        await asyncio.sleep(60)

    @DBOS.workflow()
    async def waits():
        await slow()

    found = raised(error.DBOSStepTimeoutError, DBOS.start_workflow(waits).get_result)
    assert (found.step_name, found.timeout_seconds, found.dbos_error_code) == (slow.__qualname__, 0.01, 18)


def test_outside_a_workflow(dbos):
    """138, 149, 154, 173, 255. The verbs of workflows say that they are such."""
    calls: dict[str, Any] = {
        "recv": DBOS.recv,
        "sleep": lambda: DBOS.sleep(1),
        "set_event": lambda: DBOS.set_event("a", 1),
        "write_stream": lambda: DBOS.write_stream("a", 1),
        "close_stream": lambda: DBOS.close_stream("a"),
        "patch": lambda: DBOS.patch("a"),
    }
    for name, call in calls.items():
        found = raised(error.DBOSException, call)
        assert f"{name}() must be called from within a workflow" in found.message


def test_in_a_step(dbos):
    """38, 138. A step starts no workflow and does not sleep."""
    seen: list[str] = []

    @DBOS.workflow()
    def child():
        return 1

    @DBOS.step()
    def tries():
        for call in (child, lambda: DBOS.start_workflow(child), lambda: DBOS.sleep(1), DBOS.recv):
            try:
                call()
            except error.DBOSException as refusal:
                seen.append(type(refusal).__name__)

    @DBOS.workflow()
    def parent():
        tries()

    parent()
    assert seen == ["NotAllowedInStepError"] * 4
    assert Workflow.objects.count() == 1


def test_errors_that_are_only_names():
    """Programs may raise and catch them themselves."""
    for made in (
        error.DBOSRecoveryError("w", "why"),
        error.MaxRecoveryAttemptsExceededError("w", 3),
        error.DBOSQueryTimeoutError(2.0),
        error.DBOSInitializationError("why"),
        error.DBOSException("why"),
        error.DBOSStepNondeterminismError("w", 1, "why"),
        error.DBOSPatchNondeterminismError("w", "p"),
        error.DBOSStreamNondeterminismError("w", "k"),
    ):
        raised(type(made), lambda made=made: reraise(made))
