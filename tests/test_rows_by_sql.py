"""Runs and messages that other programs write straight into the tables."""

from collections.abc import Iterator
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
