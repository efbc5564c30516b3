"""`@DBOS.transaction` on Django's database: the ORM, `DBOS.sql_session`, and the caller's own transaction."""

import pytest
from django.db import connection, transaction

from durable_app.dbos import DBOS, SetWorkflowID, error
from tests.helpers import execute_again
from tests.shop.models import Order

pytestmark = pytest.mark.django_db(transaction=True)


def names(workflow_id: str) -> list[str]:
    return [one["function_name"] for one in DBOS.list_workflow_steps(workflow_id)]


def test_transactions(dbos):
    """66, 67, 71, 78. Writes and record commit together, through the ORM and through `DBOS.sql_session`."""

    @DBOS.transaction()
    def book(number):
        Order.objects.create(number=number)
        sql = "UPDATE shop_order SET status = :status WHERE number = :number AND status <> '50%'"
        assert DBOS.sql_session.execute(sql, {"status": "booked", "number": number}).rowcount == 1
        row = DBOS.sql_session.execute("SELECT number, status FROM shop_order").fetchone()
        return f"{row.number} {row[1]}"

    @DBOS.transaction("READ COMMITTED", name="fails")
    def fail():
        Order.objects.create(number="never")
        raise ValueError("no")

    @DBOS.workflow()
    def workflow():
        with pytest.raises(ValueError, match="no"):
            fail()
        return book("1")

    with SetWorkflowID("w"):
        assert workflow() == "1 booked"
    assert names("w") == ["fails", book.__qualname__]
    assert [one.number for one in Order.objects.all()] == ["1"]
    execute_again("w")
    assert DBOS.get_result("w") == "1 booked"
    assert Order.objects.count() == 1


def test_results_of_sql(dbos):
    """The methods that programs use most; parameters by name, and text with colons and percent signs."""

    @DBOS.transaction()
    def asks():
        execute = DBOS.sql_session.execute
        numbers = "SELECT 1 AS a, 'x:y' AS b UNION ALL SELECT 2, '100%'"
        return [
            [tuple(row) for row in execute(numbers)],
            [row.b for row in execute(numbers).fetchall()],
            execute(numbers).scalar(),
            tuple(execute(numbers).first()),
            execute("SELECT :n + 0", {"n": 5}).scalar_one(),
            execute("SELECT 1 WHERE 1 = 0").scalar(),
            execute("SELECT 1 WHERE 1 = 0").first(),
        ]

    rows = [(1, "x:y"), (2, "100%")]
    assert asks() == [rows, ["x:y", "100%"], 1, (1, "x:y"), 5, None, None]


def test_sql_session_needs_a_transaction(dbos):
    """75."""
    with pytest.raises(error.DBOSException, match="inside a @DBOS.transaction"):
        DBOS.sql_session  # noqa: B018


def test_async_transactions_are_refused(dbos):
    """78."""
    with pytest.raises(error.DBOSException, match="async"):

        @DBOS.transaction()
        async def wrong():
            return 1


def test_a_start_joins_the_callers_transaction(dbos):
    """176, 177. It exists if and only if the transaction commits."""

    @DBOS.workflow()
    def workflow():
        return Order.objects.count()

    with transaction.atomic():
        Order.objects.create(number="1")
        kept = DBOS.start_workflow(workflow)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        lost = DBOS.start_workflow(workflow)
        raise ZeroDivisionError
    assert kept.get_result() == 1
    assert DBOS.get_workflow_status(lost.workflow_id) is None
    assert not connection.in_atomic_block
