"""Starting a workflow joins the caller's transaction; waiting inside one is refused."""

import threading
from collections.abc import Callable
from typing import TypeVar

import pytest
from django.db import connection, transaction
from django.test import TestCase

from durable_app import SetWorkflowID, retrieve_workflow, start_workflow, workflow
from durable_app.errors import OpenTransactionError
from durable_app.models import Workflow
from durable_app.worker.worker import Worker
from tests.shop.models import Order

threaded = pytest.mark.django_db(transaction=True, databases=["default", "other"])

on_postgres = pytest.mark.postgres(reason="SQLite has one writer at a time")

T = TypeVar("T")


@workflow
def confirm(number: str) -> bool:
    """Say whether the order exists for whoever executes the run."""
    return Order.objects.filter(number=number).exists()


class Rollback(Exception):
    """What makes a block roll back."""


def elsewhere(look: Callable[[], T]) -> T:
    """Return what another thread, with a connection of its own, finds."""
    found: list[T] = []

    def target() -> None:
        found.append(look())
        connection.close()

    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
    return found[0]


def exists_for_others(workflow_id: str) -> bool:
    """Return whether another connection sees the run."""
    return elsewhere(Workflow.objects.filter(workflow_id=workflow_id).exists)


@threaded
def test_a_run_is_there_exactly_if_the_callers_transaction_commits() -> None:
    """10, 177, F38. Order and run become visible in one commit, and the run sees the order."""
    with transaction.atomic():
        Order.objects.create(number="A1")
        handle = start_workflow(confirm, "A1")
        assert handle.get_status().status == "ENQUEUED"
        assert not exists_for_others(handle.workflow_id)

    assert exists_for_others(handle.workflow_id)
    with Worker(threads=1):
        assert handle.get_result(timeout=45) is True


@threaded
def test_a_rollback_takes_the_run_along() -> None:
    """177, F38. Neither the order nor the run was ever there."""
    with pytest.raises(Rollback), transaction.atomic():
        Order.objects.create(number="A2")
        start_workflow(confirm, "A2")
        raise Rollback

    assert not Order.objects.exists()
    assert not Workflow.objects.exists()


@threaded
def test_a_rolled_back_savepoint_takes_only_its_own_runs_along() -> None:
    """177, F38. What was started before and after the savepoint stays."""
    with transaction.atomic():
        first = start_workflow(confirm, "before")
        with pytest.raises(Rollback), transaction.atomic():
            start_workflow(confirm, "inside")
            raise Rollback
        last = start_workflow(confirm, "after")

    found = Workflow.objects.order_by("pk").values_list("workflow_id", flat=True)
    assert list(found) == [first.workflow_id, last.workflow_id]


@on_postgres
@threaded
def test_a_running_worker_takes_the_run_after_the_commit_only() -> None:
    """177, F38. Workers go on with other runs, and pass over what may never be."""
    with Worker(threads=1):
        with transaction.atomic():
            Order.objects.create(number="A3")
            handle = start_workflow(confirm, "A3")
            assert elsewhere(lambda: start_workflow(confirm, "A3").get_result(timeout=45)) is False
            assert handle.get_status().status == "ENQUEUED"
        assert handle.get_result(timeout=45) is True


@threaded
def test_the_transaction_of_another_database_is_not_joined() -> None:
    """177. The engine's database decides: a rollback elsewhere does not touch the run."""
    with pytest.raises(Rollback), transaction.atomic(using="other"):
        handle = start_workflow(confirm, "A4")
        raise Rollback

    assert retrieve_workflow(handle.workflow_id).get_status().status == "ENQUEUED"


@threaded
def test_a_taken_id_leaves_the_callers_transaction_usable() -> None:
    """177, 193, F37. The second start finds the first; the transaction goes on and commits."""
    with SetWorkflowID("taken"):
        start_workflow(confirm, "A5")

    with transaction.atomic():
        with SetWorkflowID("taken"):
            start_workflow(confirm, "other inputs")
        Order.objects.create(number="A5")

    assert Order.objects.get().number == "A5"
    assert retrieve_workflow("taken").get_status().input["args"] == ["A5"]


@threaded
def test_waiting_and_calling_are_refused_inside_a_transaction() -> None:
    """Design 2: others cannot see the run before the commit, so waiting for it would never end."""
    with transaction.atomic():
        handle = start_workflow(confirm, "A6")
        with pytest.raises(OpenTransactionError, match="get_result"):
            handle.get_result()
        with pytest.raises(OpenTransactionError, match="confirm"):
            confirm("A6")

    assert Workflow.objects.count() == 1


@on_postgres
@threaded
def test_autocommit_switched_off_is_an_open_transaction_too() -> None:
    """Design 2: a transaction that was begun by hand hides the run just the same."""
    transaction.set_autocommit(False)
    try:
        start_workflow(confirm, "A7")
        assert not exists_for_others(Workflow.objects.get().workflow_id)
        with pytest.raises(OpenTransactionError):
            confirm("A7")
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)

    assert not Workflow.objects.exists()


class WrappedTests(TestCase):
    """The blocks that a ``TestCase`` puts around its tests are nobody's open transaction."""

    @classmethod
    def setUpTestData(cls) -> None:
        Order.objects.create(number="A8")

    def test_a_direct_call_works(self) -> None:
        """Design 1.7: a workflow runs in a plain TestCase, on the test's own connection."""
        self.assertIs(confirm("A8"), True)
        self.assertEqual(Workflow.objects.get().status, "SUCCESS")

    def test_an_open_block_of_the_test_itself_is_refused(self) -> None:
        """Design 2: the test's own atomic() is a caller's transaction like any other."""
        with transaction.atomic(), self.assertRaises(OpenTransactionError):
            confirm("A8")
        self.assertFalse(Workflow.objects.exists())

    def test_a_rolled_back_start_is_gone(self) -> None:
        """F38. A savepoint inside the test's transaction is honoured."""
        with self.assertRaises(Rollback), transaction.atomic():
            start_workflow(confirm, "A8")
            raise Rollback
        self.assertFalse(Workflow.objects.exists())


@pytest.mark.django_db
def test_pytests_own_wrapping_is_not_mistaken_for_a_transaction() -> None:
    """Design 1.7: the same under pytest-django's ``db``."""
    assert confirm("A9") is False
    assert Workflow.objects.get().status == "SUCCESS"
