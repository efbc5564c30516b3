"""The reporter of a process: which of many reports is written."""

import pytest

from durable_app import SetWorkflowID, start_workflow, workflow
from durable_app.models import Event, Status, Workflow
from durable_app.store.progress import Bar, Report, Reporter

BAR = Bar(None, 1, 2)


@workflow(name="reporter.reports")
def reports() -> None:
    """Never run here."""


@pytest.mark.django_db(transaction=True)
def test_an_execution_that_lost_its_run_takes_no_report_from_its_successor() -> None:
    """F03. Both may be in one process: neither a late report nor the end of the old one stands in the way."""
    with SetWorkflowID("w"):
        start_workflow(reports)
    Workflow.objects.update(status=Status.PENDING, attempt=2)
    run, reporter = Workflow.objects.get().pk, Reporter()
    reporter._running = True  # no thread: what is written is written by the flush
    for attempt in (2, 1):
        reporter.add(Report(run, attempt, "w", BAR, attempt))
    reporter.forget(run, 1)
    reporter.flush(run, 2)
    assert Event.objects.get().value == "2"
