"""``@transaction``: the user's writes and the checkpoint commit together, here or in another database."""

import threading
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.db import transaction as django_transaction

from durable_app import (
    SetWorkflowID,
    list_workflow_steps,
    retrieve_workflow,
    step,
    transaction,
    workflow,
    workflow_id,
)
from durable_app.errors import InvalidOptionError
from durable_app.models import Step, Workflow
from tests.shop.models import Order

pytestmark = pytest.mark.django_db(databases=["default", "other"])

threaded = pytest.mark.django_db(transaction=True, databases=["default", "other"])
on_postgres = pytest.mark.postgres(reason="SQLite has one level, and one writer")

tries: dict[str, int] = {}


def count_try() -> int:
    """Return the number of this try of the running workflow, from 1."""
    key = workflow_id() or ""
    tries[key] = tries.get(key, 0) + 1
    return tries[key]


def fresh(name: str) -> str:
    return f"{name}-{uuid4()}"


@transaction
def buy(number: str) -> int:
    return Order.objects.create(number=number).pk


@transaction
def buy_and_fail(number: str) -> None:
    count_try()
    Order.objects.create(number=number)
    raise ValueError(f"no stock for {number}")


@transaction
def buy_and_return_nonsense(number: str) -> object:
    Order.objects.create(number=number)
    return object()


@transaction
def buy_whole(number: str) -> Order:
    return Order.objects.create(number=number, total="12.50")


@workflow
def shopping(number: str) -> int:
    return buy(number)


@workflow
def failing(number: str) -> None:
    buy_and_fail(number)


@workflow
def nonsense(number: str) -> None:
    buy_and_return_nonsense(number)


@workflow
def whole(number: str) -> tuple[Any, str, str]:
    order = buy_whole(number)
    return order.pk, order.number, str(order.total)


def test_writes_and_checkpoint_are_there_together_and_once() -> None:
    """66, 71. A transaction is one step; a second call returns its stored result and writes nothing."""
    name = fresh("shopping")

    with SetWorkflowID(name):
        first = shopping(name)
    with SetWorkflowID(name):
        second = shopping(name)

    assert first == second == Order.objects.get(number=name).pk
    [recorded] = list_workflow_steps(name)
    assert (recorded.step_id, recorded.name, recorded.output) == (1, "buy", first)


def test_an_exception_rolls_the_writes_back_and_is_recorded() -> None:
    """67. The error is a checkpoint of its own: it is replayed, and the function does not run again."""
    name = fresh("failing")
    for _ in range(2):
        with SetWorkflowID(name), pytest.raises(ValueError, match="no stock"):
            failing(name)

    assert not Order.objects.filter(number=name).exists()
    [recorded] = list_workflow_steps(name)
    assert isinstance(recorded.error, ValueError)
    assert tries[name] == 1


def test_a_result_that_cannot_be_stored_rolls_the_writes_back() -> None:
    """66, 67. There are no writes without a checkpoint."""
    name = fresh("nonsense")

    with SetWorkflowID(name), pytest.raises(TypeError, match="buy_and_return_nonsense"):
        nonsense(name)

    assert not Order.objects.filter(number=name).exists()
    assert [one.name for one in list_workflow_steps(name)] == ["buy_and_return_nonsense"]


def test_outside_a_workflow_it_is_a_plain_transaction() -> None:
    """69. Nothing is recorded; an exception rolls back."""
    name = fresh("plain")

    with pytest.raises(ValueError, match="no stock"):
        buy_and_fail(name)
    assert not Order.objects.exists()

    assert buy(name) == Order.objects.get(number=name).pk
    assert not Step.objects.exists()
    assert not Workflow.objects.exists()


@transaction
def failing_then_plain_write(number: str) -> str:
    with pytest.raises(ValueError, match="no stock"):
        buy_and_fail(f"{number}-inner")
    Order.objects.create(number=number)
    return number


@step
def step_with_transaction(number: str) -> int:
    return buy(number)


@workflow
def nested(number: str) -> tuple[str, int]:
    return failing_then_plain_write(number), step_with_transaction(f"{number}-step")


def test_inside_a_step_or_transaction_it_is_part_of_the_outer_one() -> None:
    """46, 78. Nested transactions are not recorded; an inner one's failure takes only its own writes."""
    name = fresh("nested")

    with SetWorkflowID(name):
        nested(name)

    assert [one.name for one in list_workflow_steps(name)] == [
        "failing_then_plain_write",
        "step_with_transaction",
    ]
    assert set(Order.objects.values_list("number", flat=True)) == {name, f"{name}-step"}


def test_returned_rows_are_usable_and_have_their_keys() -> None:
    """77. A model instance comes out of a transaction with its generated key, and out of a replay too."""
    name = fresh("whole")

    with SetWorkflowID(name):
        found = whole(name)

    assert found == (Order.objects.get().pk, name, "12.50")
    [recorded] = list_workflow_steps(name)
    assert recorded.output == Order.objects.get()


def test_misuse_is_refused_where_it_is_written() -> None:
    """75, 78. An async function, or an isolation level that does not exist, fails at decoration."""
    with pytest.raises(InvalidOptionError, match="async"):

        @transaction
        async def wrong() -> None: ...

    with pytest.raises(InvalidOptionError, match="isolation_level"):

        @transaction(isolation_level="CHAOS")
        def chaotic() -> None: ...


def test_its_recorded_name_can_be_chosen() -> None:
    """71, 78. ``name`` is what is recorded."""

    @transaction(name="cashier.pay")
    def pay() -> int:
        return 5

    @workflow(name=fresh("chosen"))
    def paying() -> int:
        return pay()

    with SetWorkflowID(fresh("paying")) as block:
        assert paying() == 5
    assert [one.name for one in list_workflow_steps(block.workflow_id)] == ["cashier.pay"]  # type: ignore[attr-defined]


# Isolation and conflicts


def shown_isolation() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_isolation")
        return str(cursor.fetchone()[0])


default_level = transaction(name="default_level")(shown_isolation)
read_committed = transaction(name="read_committed", isolation_level="read committed")(shown_isolation)
own_level = transaction(name="own_level", isolation_level=None)(shown_isolation)


@workflow
def isolation_levels() -> list[str]:
    return [default_level(), read_committed(), own_level()]


@on_postgres
@threaded
def test_transactions_are_serializable_unless_told_otherwise() -> None:
    """70. SERIALIZABLE by default; another level, or the connection's own, by option."""
    assert isolation_levels() == ["serializable", "read committed", "read committed"]


@transaction
def contested(number: str) -> int:
    """Read a row that somebody else changes before we do, at the first try."""
    order = Order.objects.get(number=number)
    count = count_try()
    if count == 1:
        rival = threading.Thread(target=_rival, args=[number])
        rival.start()
        rival.join()
    order.total += 1
    order.save()
    return count


def _rival(number: str) -> None:
    Order.objects.filter(number=number).update(total=10)
    connection.close()


@workflow
def contest(number: str) -> int:
    return contested(number)


@on_postgres
@threaded
def test_a_serialization_failure_is_retried_and_not_recorded() -> None:
    """68. The whole function runs again on fresh data; only its success is recorded."""
    name = fresh("contest")
    Order.objects.create(number=name)

    with SetWorkflowID(name):
        assert contest(name) == 2

    assert Order.objects.get(number=name).total == 11
    [recorded] = list_workflow_steps(name)
    assert (recorded.output, recorded.error) == (2, None)


def test_the_callers_own_transaction_is_joined_by_plain_transactions() -> None:
    """69. Outside a workflow, an outer rollback takes a transaction's writes along."""
    name = fresh("joined")
    with pytest.raises(KeyError), django_transaction.atomic():
        buy(name)
        raise KeyError(name)

    assert not Order.objects.filter(number=name).exists()


@transaction
def set_at_once(number: str) -> list[bool]:
    Order.objects.create(number=number)
    seen: list[bool] = []

    def look() -> None:
        seen.append(Order.objects.filter(number=number).exists())
        connection.close()

    other = threading.Thread(target=look)
    other.start()
    other.join()
    return seen


@workflow
def secretive(number: str) -> list[bool]:
    return set_at_once(number)


@threaded
def test_nobody_sees_the_writes_before_the_checkpoint() -> None:
    """66. Another connection sees neither while the transaction is open, and both afterwards."""
    name = fresh("secret")
    with SetWorkflowID(name):
        assert secretive(name) == [False]

    assert Order.objects.filter(number=name).exists()
    assert retrieve_workflow(name).get_result() == [False]
