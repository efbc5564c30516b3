"""A worker is killed while a run writes a stream that another run reads: no value is lost or doubled."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from durable_app import list_workflow_steps, read_stream, retrieve_workflow, send, start_workflow
from durable_app.models import Status, StreamEntry
from durable_app.worker.worker import Worker
from tests.crash.conftest import PATIENCE, Victim
from tests.crash.ledger import Ledger
from tests.helpers import wait_for_status
from tests.shop.flow import hear_out, narrate

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.timeout(180),
]

Start = Callable[..., Victim]


def check(ledger: Ledger, writer: str, reader: str) -> None:
    """Look at the stream, at what the reader recorded of it, and at all that the ledger knows."""
    tokens = retrieve_workflow(writer).get_result(timeout=0)
    rows = StreamEntry.objects.order_by("offset").values_list("offset", flat=True)
    assert list(rows) == [0, 1, 2, 3]
    assert list(read_stream(writer, "log")) == tokens[1:]
    assert [step.output for step in list_workflow_steps(reader)] == [*tokens[1:], None]
    assert ledger.violations(crashes=1) == []


@pytest.mark.parametrize("nth", [1, 3, 4])
@pytest.mark.parametrize("point", ["before-entry", "after-entry"])
def test_a_crash_around_a_write(point: str, nth: int, start: Start, ledger: Ledger) -> None:
    """162, 98, F01. Entry and checkpoint are one record: there is no moment between the two."""
    writer = start_workflow(narrate, str(ledger))
    send(writer.workflow_id, "begin", "begin")
    start("--at", point, "--nth", nth).dies()
    reader = start_workflow(hear_out, writer.workflow_id)
    with Worker(threads=2):
        for handle in (writer, reader):
            handle.get_result(timeout=PATIENCE)
    check(ledger, writer.workflow_id, reader.workflow_id)


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("point", ["heeding", "heeded"])
def test_a_crash_around_a_write_that_wakes_a_reader(
    point: str, nth: int, start: Start, ledger: Ledger, settings: Any
) -> None:
    """169, 171, F01. The parked reader is woken if and only if the entry is there."""
    settings.DURABLE = {"PARK_AFTER": timedelta(0)}
    writer = start_workflow(narrate, str(ledger))
    reader = start_workflow(hear_out, writer.workflow_id)
    with Worker(threads=1):
        for handle in (writer, reader):
            wait_for_status(handle.workflow_id, Status.WAITING)
    send(writer.workflow_id, "begin", "begin")
    start("--at", point, "--nth", nth).dies()
    with Worker(threads=2):
        for handle in (writer, reader):
            handle.get_result(timeout=PATIENCE)
    check(ledger, writer.workflow_id, reader.workflow_id)
