"""Arguments that a workflow checks before its body begins, and times made of portable text."""

import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, Optional

import pydantic
import pytest

from durable_app import (
    ConfiguredInstance,
    InvalidArgumentsError,
    InvalidOptionError,
    SetWorkflowID,
    WorkflowHandle,
    retrieve_workflow,
    start_workflow,
    workflow,
)
from durable_app.arguments import HintsValidator, with_times
from durable_app.models import Status, Step, Workflow
from durable_app.worker.worker import Worker
from tests.helpers import execute_again, wait_for_status

if TYPE_CHECKING:
    from nowhere import OnlyForCheckers  # type: ignore[import-not-found]

seen: list[Any] = []

AT = datetime(2024, 2, 29, 12, tzinfo=UTC)


def start(func: Any, *args: Any, **kwargs: Any) -> WorkflowHandle[Any]:
    """Start a workflow with arguments that its hints do not allow."""
    return start_workflow(func, *args, **kwargs)


@pytest.fixture(autouse=True)
def nothing_seen_yet() -> Iterator[None]:
    seen.clear()
    yield


def note(*values: Any) -> list[str]:
    seen.append(values)
    return [repr(value) for value in values]


@workflow(name="arguments.typed", validate_args=True)
def typed(count: int, *rest: Decimal, at: datetime | None = None, **named: float) -> list[str]:
    return note(count, rest, at, named)


@workflow(name="arguments.atyped", validate_args=True)
async def atyped(count: int) -> list[str]:
    return note(count)


@workflow(name="arguments.portable", serialization_type="portable")
def portable(at: datetime, day: Optional[date], other: str | datetime, *, until: date | None = None) -> None:  # noqa: UP045
    note(at, day, other, until)


@workflow(name="arguments.both", serialization_type="portable", validate_args=True)
def both(span: timedelta, prices: list[Decimal], at: datetime) -> None:
    note(span, prices, at)


def doubled(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if args[0] < 0:
        raise LookupError("below zero")
    return (args[0] * 2,), kwargs


@workflow(name="arguments.custom", validate_args=doubled)
def custom(count: int) -> list[str]:
    return note(count)


class Shop(ConfiguredInstance):
    @workflow(name="arguments.method", validate_args=True)
    def method(self, count: int) -> list[str]:
        return note(self.config_name, count)

    @workflow(name="arguments.class_method", validate_args=True)
    @classmethod
    def class_method(cls, count: int) -> list[str]:
        return note(cls.__name__, count)

    @workflow(name="arguments.static_method", validate_args=True)
    @staticmethod
    def static_method(count: int) -> list[str]:
        return note(count)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("direct", [True, False])
def test_arguments_become_what_the_hints_ask_for(worker: Worker, direct: bool) -> None:
    """274. By pydantic, on a direct call and when a worker takes the run, and again on replay."""
    with SetWorkflowID("t"):
        if direct:
            typed("3", "1.5", 2, at="2024-02-29T12:00:00Z", share="0.5")  # type: ignore[arg-type]
        else:
            start(typed, "3", "1.5", 2, at="2024-02-29T12:00:00Z", share="0.5")
    retrieve_workflow("t").get_result(timeout=60)
    execute_again("t")
    retrieve_workflow("t").get_result(timeout=60)
    assert seen == [(3, (Decimal("1.5"), Decimal(2)), AT, {"share": 0.5})] * 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("args", "kwargs", "said"),
    [
        (("many",), {}, r"argument 'count': Input should be a valid integer"),
        ((1, "x"), {}, r"argument 'rest'"),
        ((1,), {"at": "soon", "share": "x"}, r"argument 'at': .*; argument 'share': "),
        ((), {}, "missing a required argument: 'count'"),
    ],
)
@pytest.mark.parametrize("direct", [True, False])
def test_arguments_that_do_not_fit_end_the_run(
    worker: Worker, args: Any, kwargs: Any, said: str, direct: bool
) -> None:
    """274. ERROR before the body runs; the sentence names each argument."""
    with SetWorkflowID("t"):
        if direct:
            with pytest.raises(InvalidArgumentsError, match=said):
                typed(*args, **kwargs)
        else:
            start(typed, *args, **kwargs)
    with pytest.raises(InvalidArgumentsError, match=said):
        retrieve_workflow("t").get_result(timeout=60)
    assert seen == []
    assert Workflow.objects.get().status == Status.ERROR
    assert not Step.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_coroutines_and_methods_are_checked_too(worker: Worker) -> None:
    """274. Without self and cls, which no caller gives."""
    shop = Shop("arguments")
    assert start(atyped, "1").get_result(timeout=60) == ["1"]
    assert start_workflow(shop.method, "2").get_result(timeout=60) == ["'arguments'", "2"]
    assert start_workflow(Shop.class_method, "3").get_result(timeout=60) == ["'Shop'", "3"]
    assert start_workflow(Shop.static_method, "4").get_result(timeout=60) == ["4"]
    assert shop.method("5") == ["'arguments'", "5"]
    with pytest.raises(InvalidArgumentsError, match="'count'"):
        start_workflow(shop.method, "x").get_result(timeout=60)


@pytest.mark.django_db(transaction=True)
def test_a_check_of_the_projects_own(worker: Worker) -> None:
    """274. It returns the arguments to use, or raises what ends the run."""
    assert start_workflow(custom, 4).get_result(timeout=60) == ["8"]
    with pytest.raises(LookupError, match="below zero"):
        start_workflow(custom, -1).get_result(timeout=60)
    assert seen == [(8,)]


def test_without_pydantic_the_decorator_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """274. At the declaration, not when the first run comes."""
    monkeypatch.setitem(sys.modules, "pydantic", None)
    with pytest.raises(InvalidOptionError, match="pip install pydantic"):

        @workflow(name="arguments.unlucky", validate_args=True)
        def unlucky(count: int) -> None: ...


def test_the_validator_follows_wrappers_and_metadata() -> None:
    """274. Through functools.wraps, and with what Annotated says."""

    def wrapped(func: Any) -> Any:
        @wraps(func)
        def inner(*args: Any, **kwargs: Any) -> Any:
            return func(*args, **kwargs)

        return inner

    @wrapped
    def function(count: Annotated[int, pydantic.Field(gt=0)], free=None) -> None: ...

    validate = HintsValidator(function, skip_first=False)
    marker = object()
    assert validate(("1", marker), {}) == ((1, marker), {})
    with pytest.raises(InvalidArgumentsError, match="greater than 0"):
        validate((0,), {})


# Portable times


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("direct", [True, False])
def test_portable_text_becomes_the_time_that_the_hint_asks_for(worker: Worker, direct: bool) -> None:
    """274. datetime and date, also optional; text stays where the hint allows it."""
    with SetWorkflowID("p"):
        if direct:
            portable(AT, date(2024, 1, 2), AT, until=date(2024, 1, 3))
        else:
            start_workflow(portable, AT, date(2024, 1, 2), AT, until=date(2024, 1, 3))
    retrieve_workflow("p").get_result(timeout=60)
    execute_again("p")
    retrieve_workflow("p").get_result(timeout=60)
    assert seen == [(AT, date(2024, 1, 2), "2024-02-29T12:00:00Z", date(2024, 1, 3))] * 2


@pytest.mark.django_db(transaction=True)
def test_portable_text_that_is_no_time_ends_the_run(worker: Worker) -> None:
    """274. Before the body, with the argument's name."""
    with SetWorkflowID("p"):
        start(portable, "soon", None, "x")
    wait_for_status("p", Status.ERROR)
    assert "'at': 'soon' is no datetime" in str(retrieve_workflow("p").get_status().error)
    assert seen == []


@pytest.mark.django_db(transaction=True)
def test_portable_arguments_are_validated_further(worker: Worker) -> None:
    """272, 274. What portable JSON cannot say, the hints do."""
    start(both, "PT90S", ["1.10", 2], AT).get_result(timeout=60)
    assert seen == [(timedelta(seconds=90), [Decimal("1.10"), Decimal(2)], AT)]


def test_hints_that_cannot_be_read_change_nothing() -> None:
    """274. A name that only a type checker knows is no error."""

    def function(at: datetime, other: "OnlyForCheckers") -> None: ...

    assert with_times(function, ("2024-01-01", 1), {}) == (("2024-01-01", 1), {})
