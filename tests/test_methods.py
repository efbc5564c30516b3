"""Workflows and steps that are methods: static, of a class, of a named instance; recovered by a worker."""

import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from durable_app import (
    ConfiguredInstance,
    ConflictingRegistrationError,
    ConflictingWorkflowError,
    SetWorkflowID,
    WorkflowFunctionNotFoundError,
    fork_workflow,
    get_result,
    get_workflow_status,
    list_workflow_steps,
    start_workflow,
    step,
    workflow,
)
from durable_app.models import Workflow
from durable_app.registry import registry
from durable_app.worker.worker import Worker
from tests.helpers import Crash, crash, execute_again, step_names, wait_for_status

calls: list[str] = []
dies = threading.Event()


@pytest.fixture(autouse=True)
def nothing_happened_yet() -> Iterator[None]:
    calls.clear()
    dies.clear()
    yield


@step
def maybe_die() -> None:
    if dies.is_set():
        dies.clear()
        raise Crash


class Shop(ConfiguredInstance):
    """Has workflows of every kind."""

    branch = "any"

    def __init__(self, config_name: str) -> None:
        super().__init__(config_name)
        self.prefix = config_name[:1]

    @workflow
    def sell(self, what: str) -> Any:
        found = self.pack(what)
        maybe_die()
        return found

    @step
    def pack(self, what: str) -> str:
        calls.append(what)
        return f"{self.prefix}:{what}"

    @workflow
    async def sell_later(self, what: str) -> Any:
        return await self.pack_later(what)

    @step
    async def pack_later(self, what: str) -> str:
        return f"{self.prefix}:{what}!"

    @workflow
    @classmethod
    def open_all(cls, how: str) -> Any:
        found = cls.unlock(how)
        maybe_die()
        return found

    @step
    @classmethod
    def unlock(cls, how: str) -> str:
        calls.append(how)
        return f"{cls.branch} {how}"

    @workflow
    @staticmethod
    def rules(number: int) -> Any:
        found = Shop.count(number)
        maybe_die()
        return found

    @step
    @staticmethod
    def count(number: int) -> int:
        calls.append(str(number))
        return number + 1


class CornerShop(Shop):
    """Inherits the workflows."""

    branch = "corner"


class Plain:
    """Has a workflow on its instances, but gives them no names."""

    @workflow
    def run(self) -> str:
        return "never"


class PlainSteps:
    """Needs no name: only its methods' callers are workflows."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    @step
    def times(self, number: int) -> int:
        return self.factor * number


NORTH, SOUTH, CORNER = Shop("north"), Shop("south"), CornerShop("corner")

WAYS: dict[str, tuple[Any, tuple[Any, ...], Any]] = {
    "instance": (SOUTH.sell, ("tea",), "s:tea"),
    "inherited instance": (CORNER.sell, ("tea",), "c:tea"),
    "class": (Shop.open_all, ("wide",), "any wide"),
    "inherited class": (CornerShop.open_all, ("wide",), "corner wide"),
    "class by instance": (CORNER.open_all, ("wide",), "corner wide"),
    "static": (Shop.rules, (1,), 2),
    "static by instance": (NORTH.rules, (1,), 2),
    "async instance": (SOUTH.sell_later, ("tea",), "s:tea!"),
}
SYNC = [name for name in WAYS if "async" not in name]


@pytest.mark.django_db
@pytest.mark.parametrize("way", SYNC)
def test_methods_are_called_like_methods(way: str) -> None:
    """247. A direct call binds as Python does and records its steps."""
    method, args, expected = WAYS[way]
    with SetWorkflowID("m"):
        assert method(*args) == expected
    assert len(step_names("m")) == 2
    assert len(calls) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("way", WAYS)
def test_methods_are_started_on_a_worker(worker: Worker, way: str) -> None:
    """247. A worker finds class and instance by what the row says."""
    method, args, expected = WAYS[way]
    assert start_workflow(method, *args).get_result(timeout=60) == expected


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("way", SYNC)
def test_methods_are_recovered(worker: Worker, way: str) -> None:
    """247, 79. After a crash another worker goes on with the same instance or class; steps do not repeat."""
    method, args, expected = WAYS[way]
    dies.set()
    with SetWorkflowID("m"):
        crash(method, *args)
    assert get_result("m", timeout=60) == expected
    assert len(calls) == 1
    assert fork_workflow("m", 2).get_result(timeout=60) == expected
    assert len(calls) == 1


@pytest.mark.django_db
def test_class_and_config_name_are_stored_and_self_is_not() -> None:
    """247. The row has the names; the inputs have neither self nor cls; a static method has no class."""
    rows = {}
    for name, call in {
        "instance": lambda: CORNER.sell("tea"),
        "class": lambda: CornerShop.open_all("wide"),
        "static": lambda: Shop.rules(1),
    }.items():
        with SetWorkflowID(name):
            call()
        rows[name] = get_workflow_status(name)
    found = {n: (r.name, r.class_name, r.config_name, r.input["args"]) for n, r in rows.items() if r}
    assert found == {
        "instance": ("Shop.sell", "CornerShop", "corner", ["tea"]),
        "class": ("Shop.open_all", "CornerShop", None, ["wide"]),
        "static": ("Shop.rules", None, None, [1]),
    }


@pytest.mark.django_db
def test_one_id_for_two_instances_or_classes_is_refused() -> None:
    """7. The same id with another instance or class raises, naming what differs."""
    with SetWorkflowID("m"):
        NORTH.sell("tea")
    with pytest.raises(ConflictingWorkflowError, match="different config name"), SetWorkflowID("m"):
        SOUTH.sell("tea")
    with pytest.raises(ConflictingWorkflowError, match="different class name"), SetWorkflowID("m"):
        CORNER.sell("tea")
    with SetWorkflowID("m"):
        assert NORTH.sell("coffee") == "n:tea"


@pytest.mark.django_db
def test_instances_need_names() -> None:
    """248. A workflow on an instance without a name raises, and so does a call without an instance."""
    for attempt in (lambda: Plain().run(), lambda: start_workflow(Plain().run)):
        with pytest.raises(WorkflowFunctionNotFoundError, match="ConfiguredInstance"):
            attempt()
    with pytest.raises(WorkflowFunctionNotFoundError, match="on an instance"):
        start_workflow(Shop.sell, "tea")
    assert not Workflow.objects.exists()


def test_two_instances_of_one_name_are_refused() -> None:
    """249. The second instance raises; the same name on another class is fine."""
    with pytest.raises(ConflictingRegistrationError, match="north"):
        Shop("north")
    assert CornerShop("north").config_name == "north"


@pytest.mark.django_db(transaction=True)
def test_an_instance_that_no_process_has(worker: Worker) -> None:
    """90, 199. A run of an unknown instance does not harm the worker: it waits for code that has it."""
    with SetWorkflowID("m"):
        start_workflow(NORTH.sell, "tea").get_result(timeout=60)
    Workflow.objects.filter(workflow_id="m").update(config_name="west")
    execute_again("m")
    assert start_workflow(NORTH.sell, "coffee").get_result(timeout=60) == "n:coffee"
    wait_for_status("m", "WAITING")
    found = get_workflow_status("m")
    assert found is not None
    assert "No instance 'west' of class 'Shop'" in found.waiting_for
    registry.instances["Shop", "west"] = SOUTH
    try:
        with Worker(threads=1):
            assert get_result("m", timeout=60) == "n:tea"
    finally:
        del registry.instances["Shop", "west"]


@pytest.mark.django_db(transaction=True)
def test_two_classes_of_one_name(worker: Worker) -> None:
    """249. The same qualified name in two modules cannot tell them apart: the run waits, and says why."""
    handle = start_workflow(CornerShop.open_all, "wide")
    assert handle.get_result(timeout=60) == "corner wide"
    twin = type("CornerShop", (Shop,), {"__module__": "elsewhere", "__qualname__": "CornerShop"})
    execute_again(handle.workflow_id)
    wait_for_status(handle.workflow_id, "WAITING")
    assert "Several modules have a class 'CornerShop'" in handle.get_status().waiting_for
    del twin
    gc.collect()
    with Worker(threads=1):
        assert handle.get_result(timeout=60) == "corner wide"


def test_one_name_in_two_scopes() -> None:
    """249. The qualified name counts: a class inside another is not the one beside it."""

    class Outer:
        class CornerShop(Shop):
            """Has another qualified name."""

    assert Outer.CornerShop("corner").config_name == "corner"


@pytest.mark.django_db
def test_steps_of_plain_classes() -> None:
    """250. A step may be a method of any object; self is not stored."""

    @workflow(name="methods.multiplies")
    def multiplies(number: int) -> int:
        return int(PlainSteps(3).times(number) + PlainSteps(4).times(number))

    with SetWorkflowID("m"):
        assert multiplies(2) == 14
    assert [(s.name, s.output) for s in list_workflow_steps("m")] == [
        ("PlainSteps.times", 6),
        ("PlainSteps.times", 8),
    ]
    assert PlainSteps(5).times(2) == 10


@pytest.mark.django_db
def test_an_instances_workflow_may_be_a_child() -> None:
    """30, 247. Methods are children like functions."""

    @workflow(name="methods.parent")
    def parent() -> list[str]:
        return [NORTH.sell("a"), CornerShop.open_all("b")]

    with SetWorkflowID("p"):
        assert parent() == ["n:a", "corner b"]
    assert step_names("p") == [
        (1, "Shop.sell"),
        (2, "durable.getResult"),
        (3, "Shop.open_all"),
        (4, "durable.getResult"),
    ]
    child = get_workflow_status("p-1")
    assert child is not None
    assert (child.class_name, child.config_name) == ("Shop", "north")
