"""What the project's code has declared: names, conflicts, classes and instances."""

import importlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from durable_app import (
    ConfiguredInstance,
    ConflictingRegistrationError,
    DurableError,
    InvalidOptionError,
    WorkflowFunctionNotFoundError,
    step,
    transaction,
    workflow,
)
from durable_app.registry import TEMPORARY, Definition, Registry, registry

SOURCE = """
from durable_app import step, workflow

@workflow
def registered_twice():
    return {value}

@step
def registered_step():
    return {value}
"""


@pytest.fixture(autouse=True)
def registry_restored() -> Iterator[None]:
    saved = dict(registry.workflows), dict(registry.steps), dict(registry.instances)
    yield
    registry.workflows, registry.steps, registry.instances = saved


def module(folder: Path, name: str, value: int) -> ModuleType:
    (folder / f"{name}.py").write_text(SOURCE.format(value=value))
    importlib.invalidate_caches()
    sys.modules.pop(name, None)
    return importlib.import_module(name)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


def test_a_name_defaults_to_the_qualified_name() -> None:
    """25. It includes <locals> and classes."""

    @workflow
    def local() -> None: ...

    class Shop:
        @workflow
        @staticmethod
        def sell() -> None: ...

    here = "test_a_name_defaults_to_the_qualified_name.<locals>"
    assert local.name == f"{here}.local"
    assert Shop.sell.name == f"{here}.Shop.sell"
    assert registry.workflow(f"{here}.local").func is local.func


def test_a_chosen_name_is_registered_instead() -> None:
    """24. Two workflows may share a function's name if their own names differ."""

    def make(name: str) -> None:
        @workflow(name=name)
        def same() -> str:
            return name

    make("registry-a")
    make("registry-b")
    assert registry.workflow("registry-a").func() == "registry-a"
    assert registry.workflow("registry-b").func() == "registry-b"
    assert not [name for name in registry.workflows if name.endswith("make.<locals>.same")]


def test_the_same_name_again_in_one_module_warns(caplog: pytest.LogCaptureFixture) -> None:
    """26. The second definition replaces the first."""

    def make(value: int) -> None:
        @workflow(name="registry-again")
        def again() -> int:
            return value

    with caplog.at_level(logging.WARNING, "durable_app"):
        make(1)
        assert not caplog.messages
        make(2)
    assert any("Duplicate registration of function" in line for line in caplog.messages)
    assert registry.workflow("registry-again").func() == 2


def test_a_reloaded_module_only_warns(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """26. A development server's reload is no conflict; the new code counts."""
    found = module(folder, "registry_reloaded", 1)
    (folder / "registry_reloaded.py").write_text(SOURCE.format(value=20))
    with caplog.at_level(logging.WARNING, "durable_app"):
        importlib.reload(found)
    assert any("Duplicate registration" in line for line in caplog.messages)
    assert registry.workflow("registered_twice").func() == 20


def test_the_same_name_in_another_module_is_refused(folder: Path) -> None:
    """26. With both places, so that one can be renamed."""
    module(folder, "registry_one", 1)
    with pytest.raises(
        ConflictingRegistrationError, match=r"registry_one\.py:\d+ and .*registry_two\.py:\d+"
    ):
        module(folder, "registry_two", 2)
    assert registry.workflow("registered_twice").func() == 1


def test_an_unknown_name_says_what_to_look_for() -> None:
    """28. 90."""
    with pytest.raises(WorkflowFunctionNotFoundError, match="'nobody' is registered.*workflows.py"):
        registry.workflow("nobody")


def test_a_step_registers_the_workflow_that_carries_it() -> None:
    """48. ``<temp>.<step name>``, of the step's colour."""

    @step(name="registry-step")
    def blue() -> None: ...

    @step(name="registry-async-step")
    async def red() -> None: ...

    @transaction(name="registry-transaction")
    def green() -> None: ...

    assert TEMPORARY == "<temp>."
    assert {"<temp>.registry-step", "<temp>.registry-transaction"} <= set(registry.names(is_async=False))
    assert "<temp>.registry-async-step" in registry.names(is_async=True)
    assert "<temp>.registry-async-step" not in registry.names(is_async=False)


@pytest.mark.parametrize("name", ["", "  ", "x" * 256])
def test_a_name_that_does_not_fit_is_refused(name: str) -> None:
    """24. Names have 1 to 255 characters; an empty one means the default."""
    for decorator in (workflow, step, transaction):
        if name == "":
            continue
        with pytest.raises(InvalidOptionError, match="255 characters"):
            decorator(name=name)(lambda: None)


def test_what_is_no_function_is_refused() -> None:
    for decorator in (workflow, step, transaction):
        with pytest.raises(DurableError, match="Only a function can be decorated, not 5"):
            decorator(5)  # type: ignore[call-overload]


def test_two_instances_of_one_name_are_refused() -> None:
    """249. A recovered run must find exactly one instance."""

    class Printer(ConfiguredInstance):
        pass

    class Scanner(ConfiguredInstance):
        pass

    Printer("left")
    Printer("right")
    Scanner("left")
    with pytest.raises(ConflictingRegistrationError, match="'left'.*Printer"):
        Printer("left")


def test_an_unknown_instance_or_class_is_named() -> None:
    """90. 248."""

    class Owner(ConfiguredInstance):
        def method(self) -> None: ...

    method = Definition(name="m", func=Owner.method, is_async=False, binding="instance")
    with pytest.raises(WorkflowFunctionNotFoundError, match="No instance 'left' of class 'Owner'"):
        method.bind("Owner", "left")
    of_class = Definition(name="m", func=Owner.method, is_async=False, binding="class")
    with pytest.raises(WorkflowFunctionNotFoundError, match="No class 'Nobody'"):
        of_class.bind("Nobody", None)


def test_a_registry_of_its_own_shares_nothing() -> None:
    own = Registry()
    own.add_workflow(Definition(name="own", func=len, is_async=False))
    assert own.names(is_async=False) == ["own"]
    assert "own" not in registry.workflows
    own.clear()
    assert own.names(is_async=False) == []
