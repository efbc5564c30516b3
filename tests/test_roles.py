"""Required roles: who may run what, however it is started; and where a refusal shows."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async

from durable_app import (
    NotAuthorizedError,
    SetIdentity,
    SetWorkflowID,
    Status,
    assumed_role,
    astart_workflow,
    authenticated_roles,
    authenticated_user,
    enqueue,
    fork_workflow,
    get_result,
    get_workflow_status,
    list_workflow_steps,
    required_roles,
    run_step,
    start_workflow,
    workflow,
)
from durable_app.models import Step, Workflow
from durable_app.worker.worker import Worker
from tests.helpers import Crash, crash, execute_again, status, step_names

calls: list[str] = []
dies: list[bool] = []


@pytest.fixture(autouse=True)
def nothing_happened_yet() -> Iterator[None]:
    calls.clear()
    dies.clear()
    yield


@required_roles(["admin", "clerk"])
@workflow(name="roles.refund")
def refund(what: str) -> list[Any]:
    calls.append(what)
    return [authenticated_user(), authenticated_roles(), assumed_role()]


@workflow(name="roles.below")
@required_roles(["admin"])
def below() -> str:
    return "below"


@required_roles(["admin"])
@workflow(name="roles.coroutine")
async def coroutine() -> str | None:
    return assumed_role()


@workflow(name="roles.open")
def open_to_all() -> str:
    return "open"


# Which roles suffice


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("roles", "assumed"),
    [
        (["admin"], "admin"),
        (["clerk"], "clerk"),
        (["guest", "clerk"], "clerk"),
        (["clerk", "admin"], "admin"),
        (["*"], "admin"),
    ],
)
def test_any_listed_role_suffices(roles: list[str], assumed: str) -> None:
    """243. The first required role that the user has is the one assumed, and is recorded."""
    with SetWorkflowID("run"), SetIdentity("ann", roles):
        assert refund("x") == ["ann", roles, assumed]
    found = get_workflow_status("run")
    assert found is not None
    assert (found.user, found.roles, found.assumed_role) == ("ann", roles, assumed)


@pytest.mark.django_db
@pytest.mark.parametrize("roles", [None, [], ["guest"], ["Admin"], ["adm"]])
def test_a_denied_direct_call_records_nothing(roles: list[str] | None) -> None:
    """243, 245. NotAuthorizedError says who wanted what, and what it requires."""
    with SetIdentity("ann", roles), pytest.raises(NotAuthorizedError, match="'ann'") as caught:
        refund("x")
    error = caught.value
    assert (error.name, error.required_roles, error.user) == ("roles.refund", ["admin", "clerk"], "ann")
    assert not Workflow.objects.exists()
    assert calls == []


@pytest.mark.django_db
def test_nobody_is_denied() -> None:
    """243. Without anybody authenticated there is no role."""
    with pytest.raises(NotAuthorizedError, match="Nobody is authenticated"):
        refund("x")
    with SetIdentity(None), pytest.raises(NotAuthorizedError, match="Nobody is authenticated"):
        refund("x")
    assert not Workflow.objects.exists()


@pytest.mark.django_db
def test_a_denied_call_of_a_finished_run_gets_no_result() -> None:
    """243, 3. Knowing an id is no permission."""
    with SetWorkflowID("run"), SetIdentity("ann", ["admin"]):
        refund("x")
    with SetWorkflowID("run"), SetIdentity("bob"), pytest.raises(NotAuthorizedError):
        refund("x")


@pytest.mark.django_db
def test_a_coroutine_is_guarded_like_a_function() -> None:
    """243. 245. The check comes before the row, on an event loop as well."""

    async def call() -> str | None:
        found: str | None = await coroutine()
        return found

    with SetIdentity("ann", ["admin"]):
        assert async_to_sync(call)() == "admin"
    Workflow.objects.all().delete()
    with SetIdentity("bob"), pytest.raises(NotAuthorizedError):
        async_to_sync(call)()
    assert not Workflow.objects.exists()


@pytest.mark.django_db
def test_an_open_workflow_needs_nobody() -> None:
    """243. Nothing is required of functions that say nothing; no role is assumed."""
    assert open_to_all() == "open"
    with SetIdentity("ann", ["admin"]), SetWorkflowID("run"):
        assert open_to_all() == "open"
    found = get_workflow_status("run")
    assert found is not None
    assert found.assumed_role is None


@pytest.mark.django_db
def test_below_the_workflow_decorator() -> None:
    """243. The order of the two decorators does not matter."""
    with pytest.raises(NotAuthorizedError, match=r"roles\.below"):
        below()
    assert not Workflow.objects.exists()
    with SetIdentity("ann", ["admin"]):
        assert below() == "below"


def test_a_plain_function_is_guarded_too() -> None:
    """243. A decorator that reads like a lock is one."""

    @required_roles(["admin"])
    def plain() -> str:
        return "plain"

    @required_roles(["admin"])
    async def aplain() -> str:
        return "aplain"

    with pytest.raises(NotAuthorizedError, match="plain"):
        plain()
    with pytest.raises(NotAuthorizedError, match="aplain"):
        async_to_sync(aplain)()
    with SetIdentity("ann", ["admin"]):
        assert (plain(), async_to_sync(aplain)()) == ("plain", "aplain")


# Started runs


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("start", [start_workflow, lambda *given: enqueue("default", *given)])
def test_a_denied_start_ends_in_error(start: Callable[..., Any], worker: Worker) -> None:
    """245, 199. The worker finalizes the row; the handle raises; others pass it."""
    with SetIdentity("ann", ["guest"]):
        denied = start(refund, "x")
        passed = start(open_to_all)
    assert passed.get_result(timeout=60) == "open"
    with pytest.raises(NotAuthorizedError, match=r"'ann'.*roles\.refund") as caught:
        denied.get_result(timeout=60)
    assert caught.value.required_roles == ["admin", "clerk"]
    assert status(denied.workflow_id) == Status.ERROR
    assert list_workflow_steps(denied.workflow_id) == []
    assert calls == []


@pytest.mark.django_db(transaction=True)
def test_an_allowed_start_runs_in_its_role(worker: Worker) -> None:
    """243, 93. The worker has the user and the roles from the row."""
    with SetIdentity("ann", ["guest", "clerk"]):
        handle = start_workflow(refund, "x")
    assert handle.get_result(timeout=60) == ["ann", ["guest", "clerk"], "clerk"]
    assert handle.get_status().assumed_role == "clerk"


@pytest.mark.django_db(transaction=True)
def test_a_denied_coroutine_ends_in_error(worker: Worker) -> None:
    """245. The same on the event loop."""

    async def start() -> str:
        with SetIdentity("ann"):
            return (await astart_workflow(coroutine)).workflow_id

    with pytest.raises(NotAuthorizedError):
        get_result(async_to_sync(start)(), timeout=60)


@required_roles(["admin"])
@workflow(name="roles.crashing")
def crashing() -> list[Any]:
    run_step({"name": "before"}, calls.append, "before")
    if dies:
        raise Crash
    return [authenticated_user(), authenticated_roles(), assumed_role()]


@pytest.mark.django_db(transaction=True)
def test_a_recovered_run_acts_for_the_same_user() -> None:
    """93, 246. A direct call's user and roles are in its row, and any worker takes them over."""
    dies.append(True)
    with SetWorkflowID("run"), SetIdentity("ann", ["admin"]):
        crash(crashing)
    dies.clear()
    with Worker(threads=1), SetIdentity("bob"):
        assert get_result("run", timeout=60) == ["ann", ["admin"], "admin"]
    assert calls == ["before"]


@pytest.mark.django_db(transaction=True)
def test_a_run_whose_roles_do_not_suffice_any_more_is_denied_at_recovery() -> None:
    """245. The check is made at each execution, against the code that runs it."""
    dies.append(True)
    with SetWorkflowID("run"), SetIdentity("ann", ["admin"]):
        crash(crashing)
    Workflow.objects.update(roles=["guest"])
    with Worker(threads=1), pytest.raises(NotAuthorizedError):
        get_result("run", timeout=60)
    assert status("run") == Status.ERROR


@pytest.mark.django_db(transaction=True)
def test_a_fork_acts_for_the_same_user(worker: Worker) -> None:
    """112, 246. Identity is copied; who forks does not matter."""
    with SetIdentity("ann", ["admin"]):
        handle = start_workflow(refund, "x")
    handle.get_result(timeout=60)
    with SetIdentity("bob"):
        fork = fork_workflow(handle.workflow_id, 1)
    assert fork.get_result(timeout=60) == ["ann", ["admin"], "admin"]


# Children


@workflow(name="roles.parent")
def parent(how: str) -> Any:
    try:
        return refund("x") if how == "call" else start_workflow(refund, "x").get_result()
    except NotAuthorizedError as error:
        return str(error)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", ["call", "start"])
def test_children_act_for_the_parents_user(how: str, worker: Worker) -> None:
    """246, 243. A child that requires a role of the user's runs in it."""
    with SetIdentity("ann", ["clerk"]):
        handle = start_workflow(parent, how)
    assert handle.get_result(timeout=60) == ["ann", ["clerk"], "clerk"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", ["call", "start"])
def test_a_denied_child_is_the_parents_to_handle(how: str, worker: Worker) -> None:
    """245, 295. The refusal is a recorded step, and a replay raises the same one."""
    with SetIdentity("ann"):
        handle = start_workflow(parent, how)
    found = handle.get_result(timeout=60)
    assert "'ann' is not allowed" in found
    assert [name for _, name in step_names(handle.workflow_id)][:1] == ["roles.refund"]
    recorded = Step.objects.count()
    execute_again(handle.workflow_id)
    assert handle.get_result(timeout=60) == found
    assert Step.objects.count() == recorded
    assert calls == []


@pytest.mark.django_db
def test_readers_outside_of_workflows() -> None:
    """246. They tell what the block around says; nobody, without one."""
    assert (authenticated_user(), authenticated_roles(), assumed_role()) == (None, None, None)
    with SetIdentity("ann", ["a"]):
        assert (authenticated_user(), authenticated_roles(), assumed_role()) == ("ann", ["a"], None)
        assert async_to_sync(sync_to_async(authenticated_user))() == "ann"
