"""Required roles of steps, transactions and the methods of classes."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from durable_app import (
    ConfiguredInstance,
    DurableError,
    InvalidOptionError,
    NotAuthorizedError,
    SetIdentity,
    SetWorkflowID,
    assumed_role,
    default_required_roles,
    required_roles,
    start_workflow,
    step,
    transaction,
    workflow,
)
from durable_app.worker.worker import Worker
from tests.helpers import step_names

calls: list[str] = []


@pytest.fixture(autouse=True)
def nothing_happened_yet() -> Iterator[None]:
    calls.clear()
    yield


@required_roles(["admin"])
@step(name="roles.guarded_step")
def guarded_step() -> str:
    calls.append("step")
    return "step"


@step(name="roles.guarded_async_step")
@required_roles(["admin"])
async def guarded_async_step() -> str:
    calls.append("async step")
    return "async step"


@required_roles(["admin"])
@transaction(name="roles.guarded_transaction")
def guarded_transaction() -> str:
    calls.append("transaction")
    return "transaction"


@workflow(name="roles.uses")
def uses(name: str) -> str:
    return str(GUARDED[name]())


@workflow(name="roles.auses")
async def auses(name: str) -> str:
    return str(await AGUARDED[name]())


GUARDED: dict[str, Callable[[], Any]] = {"step": guarded_step, "transaction": guarded_transaction}
AGUARDED: dict[str, Callable[[], Any]] = {
    "async step": guarded_async_step,
    "step": guarded_step.acall,
    "transaction": guarded_transaction.acall,
}


@pytest.mark.django_db
@pytest.mark.parametrize("name", GUARDED)
def test_steps_are_guarded(name: str) -> None:
    """243. In a workflow and outside; the step's body does not begin."""
    with SetIdentity("ann", ["admin"]):
        assert uses(name) == name
        assert GUARDED[name]() == name
    assert calls == [name, name]
    with SetIdentity("bob"), SetWorkflowID("denied"):
        with pytest.raises(NotAuthorizedError):
            uses(name)
        with pytest.raises(NotAuthorizedError):
            GUARDED[name]()
    assert step_names("denied") == []
    assert calls == [name, name]


@pytest.mark.django_db
@pytest.mark.parametrize("name", AGUARDED)
def test_steps_are_guarded_in_coroutines(name: str) -> None:
    """243. The same for what is awaited."""

    async def call(inside: bool) -> Any:
        return await (auses(name) if inside else AGUARDED[name]())

    for inside in (True, False):
        with SetIdentity("ann", ["admin"]):
            assert async_to_sync(call)(inside) == name
        with SetIdentity("bob"), pytest.raises(NotAuthorizedError):
            async_to_sync(call)(inside)
    assert calls == [name, name]


@pytest.mark.django_db(transaction=True)
def test_a_step_that_is_started_by_itself_is_guarded(worker: Worker) -> None:
    """243, 245, 48. Its temporary workflow ends in ERROR."""
    with SetIdentity("ann", ["admin"]):
        assert start_workflow(guarded_step).get_result(timeout=60) == "step"
    with SetIdentity("bob"):
        denied = start_workflow(guarded_step)
    with pytest.raises(NotAuthorizedError):
        denied.get_result(timeout=60)
    assert calls == ["step"]


# Classes


@default_required_roles(["user"])
class Desk(ConfiguredInstance):
    @workflow
    def ask(self) -> str | None:
        return assumed_role()

    @required_roles(["admin"])
    @workflow
    def rule(self) -> str | None:
        return assumed_role()

    @workflow
    @required_roles([])
    def greet(self) -> str | None:
        return assumed_role()

    @workflow
    @staticmethod
    def static() -> str | None:
        return assumed_role()

    @staticmethod
    @required_roles(["admin"])
    @workflow
    def static_inside() -> str | None:
        return assumed_role()

    @required_roles(["admin"])
    @classmethod
    @workflow
    def of_class(cls) -> str | None:
        return assumed_role()

    @step
    def stamp(self) -> str:
        return "stamped"

    def plain(self) -> str:
        return "plain"


class BackDesk(Desk):
    """Says nothing about roles: its own functions are open."""

    @workflow
    def rest(self) -> str | None:
        return assumed_role()


DESK, BACK = Desk("front"), BackDesk("back")

METHODS: dict[str, tuple[Callable[[], Any], str | None]] = {
    "the class's default": (DESK.ask, "user"),
    "inherited": (BACK.ask, "user"),
    "its own": (DESK.rule, "admin"),
    "opened": (DESK.greet, None),
    "static": (Desk.static, "user"),
    "static inside": (Desk.static_inside, "admin"),
    "of the class": (Desk.of_class, "admin"),
    "of a subclass": (BACK.rest, None),
}


@pytest.mark.django_db
@pytest.mark.parametrize("name", METHODS)
def test_a_class_has_default_roles(name: str) -> None:
    """244, 247. They hold for every function of the class that says nothing itself; [] opens one."""
    method, role = METHODS[name]
    with SetIdentity("ann", ["user", "admin"]):
        assert method() == role
    if role is not None:
        with SetIdentity("bob", ["guest"]), pytest.raises(NotAuthorizedError, match=role):
            method()
    else:
        assert method() is None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", METHODS)
def test_a_class_has_default_roles_on_a_worker(name: str, worker: Worker) -> None:
    """244, 245, 247. The same for started runs."""
    method, role = METHODS[name]
    with SetIdentity("ann", ["user", "admin"]):
        assert start_workflow(method).get_result(timeout=60) == role
    with SetIdentity("bob", ["guest"]):
        handle = start_workflow(method)
    if role is None:
        assert handle.get_result(timeout=60) is None
    else:
        with pytest.raises(NotAuthorizedError):
            handle.get_result(timeout=60)


def test_default_roles_hold_for_steps_and_not_for_plain_methods() -> None:
    """244. What is not decorated is nobody's business."""
    with pytest.raises(NotAuthorizedError):
        DESK.stamp()
    with SetIdentity("ann", ["user"]):
        assert DESK.stamp() == "stamped"
    assert DESK.plain() == "plain"


# Bad input


@pytest.mark.parametrize("roles", ["admin", [1], [""], [" "], [None]])
def test_what_are_no_roles_is_refused(roles: Any) -> None:
    """243. A single text would be a list of its letters."""
    for decorator in (required_roles, default_required_roles):
        with pytest.raises(InvalidOptionError, match="list of names"):
            decorator(roles)
    with pytest.raises(InvalidOptionError, match="list of names"):
        SetIdentity("ann", roles)


def test_only_functions_can_require_roles() -> None:
    """243. Anything else is an error at once."""
    with pytest.raises(DurableError, match="function"):
        required_roles(["admin"])(3)  # type: ignore[type-var]
