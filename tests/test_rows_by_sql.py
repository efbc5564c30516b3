"""Runs and messages that other programs write straight into the tables."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from durable_app import PortableWorkflowError, recv, retrieve_workflow, send, workflow
from durable_app.models import Status
from durable_app.worker.worker import Worker
from tests.helpers import wait_for_status, wait_until

received: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_received_yet() -> Iterator[None]:
    received.clear()
    yield


@workflow(name="sql.order")
def order(number: str, *items: Any, at: Any = None) -> Any:
    received.append([number, *items, at])
    return number


@workflow(name="sql.receives")
def receives(topic: str) -> Any:
    return recv(topic, 60)


DOCUMENT = Path(__file__).parent.parent / "docs" / "serialization.md"


def documented(what: str) -> list[str]:
    """Return the statements that docs/serialization.md shows for this database."""
    vendor = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}[connection.vendor]
    blocks = re.findall(r"^```sql\n-- (.*?)\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    (block,) = (sql for title, sql in blocks if title == f"{vendor}: {what}")
    return [statement for statement in block.split(";\n") if statement.strip()]


def run_documented(what: str, **instead: str) -> None:
    with connection.cursor() as cursor:
        for statement in documented(what):
            for old, new in instead.items():
                statement = statement.replace(old.replace("_", "-"), new)
            cursor.execute(statement)


@workflow(name="orders.ship", serialization_type="portable", validate_args=True)
def ship(order: str, at: datetime) -> dict[str, Any]:
    received.append([order, at])
    return {"order": order, "shipped_at": at, "paid": recv("paid", 60)}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("parks", [True, False])
def test_the_documented_statements_start_a_run_and_send_to_it(settings: Any, parks: bool) -> None:
    """275. Whether it sleeps in its row or in its thread, the message is found."""
    settings.DURABLE = {"PARK_AFTER": timedelta(seconds=0.05 if parks else 100)}
    run_documented("start a run")
    with Worker(threads=2):
        wait_until(lambda: received)
        if parks:
            wait_for_status("order-1", Status.WAITING)
        run_documented("send a message")
        assert retrieve_workflow("order-1").get_result(timeout=60) == {
            "order": "order-1",
            "shipped_at": "2024-02-29T12:00:00Z",
            "paid": {"amount": "9.90"},
        }
    assert received[0] == ["order-1", datetime(2024, 2, 29, 12, tzinfo=UTC)]


@pytest.mark.django_db(transaction=True)
def test_documented_messages_race_with_parking() -> None:
    """275. Wherever the run is on its way to sleep, the message wakes it."""
    with Worker(threads=4):
        for number in range(20):
            name = f"order-{number + 10}"
            run_documented("start a run", order_1=name)
            run_documented("send a message", order_1=name)
        for number in range(20):
            result: Any = retrieve_workflow(f"order-{number + 10}").get_result(timeout=60)
            assert result["paid"] == {"amount": "9.90"}


def insert_run(workflow_id: str, inputs: str, **changed: Any) -> None:
    """Insert a run as docs/serialization.md shows it."""
    columns: dict[str, Any] = {
        "workflow_id": workflow_id, "name": "sql.order", "status": "ENQUEUED",
        "queue_name": "default", "inputs": inputs, "serialization": "portable_json",
    }  # fmt: skip
    columns |= changed
    now = "now()" if connection.vendor == "postgresql" else "strftime('%Y-%m-%d %H:%M:%f', 'now')"
    names, marks = ", ".join(columns), ", ".join(["%s"] * len(columns))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO durable_app_workflow ({names}, created_at, updated_at) "
            f"VALUES ({marks}, {now}, {now})",
            list(columns.values()),
        )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ('{"positionalArgs":["7",1.5],"namedArgs":{"at":"x"}}', ["7", 1.5, "x"]),
        ('{"positionalArgs":["7"]}', ["7", None]),
        ('{"namedArgs":{"number":"7"},"positionalArgs":null}', ["7", None]),
        ('{ "positionalArgs" : [ {"$t":"decimal","v":"1"} ] }', [{"$t": "decimal", "v": "1"}, None]),
    ],
)
def test_a_run_inserted_by_sql_runs(worker: Worker, inputs: str, expected: list[Any]) -> None:
    """275. Its arguments are plain JSON: nothing in it is taken for a tag."""
    insert_run("sql", inputs)
    assert retrieve_workflow("sql").get_result(timeout=60) == expected[0]
    assert received == [expected]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "inputs", ["", "[1]", "null", '{"positionalArgs":{}}', '{"namedArgs":[]}', '{"positionalArgs":"7"}', "{"]
)
def test_a_run_inserted_with_nonsense_ends_in_error(worker: Worker, inputs: str) -> None:
    """275, 199. ERROR with a sentence; the line goes on."""
    insert_run("bad", inputs)
    insert_run("good", '{"positionalArgs":["8"]}')
    assert retrieve_workflow("good").get_result(timeout=60) == "8"
    wait_for_status("bad", Status.ERROR)
    with pytest.raises(PortableWorkflowError) as raised:
        retrieve_workflow("bad").get_result()
    assert raised.value.name in ("SerializationError", "TypeError")
    assert len(received) == 1


@pytest.mark.django_db(transaction=True)
def test_a_run_inserted_in_tagged_json_runs_as_well(worker: Worker) -> None:
    """275. The columns' defaults are the project's own format."""
    insert_run("tagged", '{"args":["t"],"kwargs":{}}', name="sql.receives", serialization="json")
    wait_until(lambda: retrieve_workflow("tagged").get_status().started_at)
    send("tagged", (1,), "t")
    assert retrieve_workflow("tagged").get_result(timeout=60) == (1,)
