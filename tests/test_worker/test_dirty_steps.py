"""What a step leaves behind on its thread's connection harms neither its own run nor the next."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection
from django.db import transaction as django_transaction

from durable_app import start_workflow, step, transaction, workflow
from durable_app.worker.worker import Worker
from tests.shop.models import Order

pytestmark = pytest.mark.django_db(transaction=True)


def leave_a_block_open() -> None:
    django_transaction.atomic().__enter__()


def leave_a_broken_block_open() -> None:
    Order.objects.create(number="twice")
    django_transaction.atomic().__enter__()
    try:
        with django_transaction.atomic(savepoint=False):
            Order.objects.create(number="twice")
    except IntegrityError:
        pass


def switch_autocommit_off() -> None:
    django_transaction.set_autocommit(False)


def close_the_connection() -> None:
    connection.ensure_connection()
    connection.connection.close()


SINS: dict[str, Callable[[], None]] = {
    sin.__name__: sin
    for sin in (leave_a_block_open, leave_a_broken_block_open, switch_autocommit_off, close_the_connection)
}


@step
def sin(name: str) -> str:
    SINS[name]()
    return name


@workflow
def sinner(name: str) -> str:
    return sin(name)


@transaction
def write(number: str) -> str:
    Order.objects.create(number=number)
    return number


@workflow
def innocent(number: str) -> str:
    return write(number)


@pytest.mark.parametrize("name", SINS)
def test_a_dirty_connection_does_not_reach_the_next_run(name: str) -> None:
    """68, F24. Both runs end, on the one thread that they share."""
    dirty = start_workflow(sinner, name)
    clean = [start_workflow(innocent, f"order {index}") for index in range(3)]

    with Worker(threads=1):
        for index, handle in enumerate(clean):
            assert handle.get_result(timeout=20) == f"order {index}"
        _ended(dirty)

    assert Order.objects.filter(number__startswith="order").count() == 3


def _ended(handle: Any) -> None:
    """Wait for an end: its value, or an error that tells the step what it did."""
    try:
        assert handle.get_result(timeout=20) in SINS
    except TimeoutError:
        raise
    except Exception as error:  # noqa: BLE001
        assert "transaction" in str(error)


@transaction
def swallow_an_error() -> None:
    Order.objects.create(number="swallowed")
    try:
        with django_transaction.atomic(savepoint=False):
            Order.objects.create(number="swallowed")
    except IntegrityError:
        pass


@workflow
def swallower() -> None:
    swallow_an_error()


def test_a_transaction_that_swallowed_a_database_error_is_rolled_back_and_fails() -> None:
    """67, F24. Django refuses to commit a broken block: the step fails, and its writes are gone."""
    with pytest.raises(django_transaction.TransactionManagementError):
        swallower()

    assert not Order.objects.exists()
    assert innocent("after") == "after"
