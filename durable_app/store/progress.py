"""Progress reports: kept in memory, and written a few times a second by a thread of the process.

A loop of ten thousand reports costs a handful of commits, none of them in the loop's own thread. Only the
newest report of a run counts; the last one is written before its run parks or ends (``flush``).
"""

import logging
import os
import threading
import time
from typing import Any, NamedTuple

from django.db import transaction

from durable_app import clock, serialization
from durable_app.models import Event, Status, Workflow
from durable_app.store import database, notify, waits
from durable_app.store.waits import News

logger = logging.getLogger("durable_app")

KEY = "durable.progress"
"""The event that holds a run's newest report."""

INTERVAL = 0.25
"""Seconds between two writes."""

QUIET = 5.0
"""Seconds without a report after which the thread ends."""


PATIENCE = (0.005, 0.02, 0.1, 0.4)
"""Seconds between two tries to write a last report while its run's row is locked."""


class Bar(NamedTuple):
    """How long what an execution reports is, and from where in it the report comes."""

    source: object
    done: float
    total: float | None

    def may_follow(self, earlier: "Bar | None") -> bool:
        """Whether this is news: a bar that is not full goes forward until somebody begins another."""
        if earlier is None or self.done >= earlier.done or self.done == 0:
            return True
        is_full = earlier.total is not None and earlier.done >= earlier.total
        return is_full or (self.source, self.total) != (earlier.source, earlier.total)


class Report(NamedTuple):
    """A run's progress as one execution sees it; encoded when it is written, which most reports never are."""

    run: int
    attempt: int
    workflow_id: str
    bar: Bar
    value: Any

    @property
    def execution(self) -> tuple[int, int]:
        """Whose report it is: two executions of one run may report, and only one of them counts."""
        return self.run, self.attempt


class Reporter:
    """Takes reports at any rate, and writes the newest of each run."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._pending: dict[tuple[int, int], Report] = {}
        self._bars: dict[tuple[int, int], Bar] = {}
        """The last bar of each execution that has reported and not ended."""
        self._written_at: dict[tuple[int, int], float] = {}
        """When this thread's test has written a run's report; elsewhere the interval is the thread's."""
        self._writing = threading.Lock()
        self._running = False

    def add(self, report: Report) -> None:
        """Take a report; the thread writes it soon."""
        with self._guard:
            if not self._accepts(report) or self._running:
                return
            self._running = True
        threading.Thread(target=self._run, name="durable-progress", daemon=True).start()

    def add_here(self, report: Report) -> None:
        """Take a report where a thread of our own would not see the run: in a test's transaction."""
        if not (database.joins_caller() or database.in_memory()):
            self.add(report)
            return
        now = time.monotonic()
        with self._guard:
            if not self._accepts(report):
                return
            is_due = now - self._written_at.get(report.execution, 0.0) >= INTERVAL
        if is_due:
            self._written_at[report.execution] = now
            self.flush(*report.execution)

    def _accepts(self, report: Report) -> bool:
        key = report.execution
        if not report.bar.may_follow(self._bars.get(key)):
            return False
        self._bars[key], self._pending[key] = report.bar, report
        return True

    def flush(self, run: int, attempt: int) -> None:
        """Write an execution's newest report now, unless that has been done."""
        with self._writing:  # the thread may be at it
            with self._guard:
                report = self._pending.pop((run, attempt), None)
            for pause in PATIENCE:
                if report is None or not write([report]):
                    return
                time.sleep(pause)

    def forget(self, run: int, attempt: int) -> None:
        """Drop what is left of an execution that has ended."""
        with self._guard:
            self._pending.pop((run, attempt), None)
            self._bars.pop((run, attempt), None)
            self._written_at.pop((run, attempt), None)

    def _run(self) -> None:
        database.borrow_connections()
        quiet_until = time.monotonic() + QUIET
        while True:
            with self._guard:
                if not self._pending and time.monotonic() > quiet_until:
                    self._running = False
                    return
            if self._write_pending():
                quiet_until = time.monotonic() + QUIET
            time.sleep(INTERVAL)

    def _write_pending(self) -> bool:
        with self._writing:
            with self._guard:
                reports, self._pending = self._pending, {}
            if not reports:
                return False
            try:
                left = database.call(write, list(reports.values()))
            except Exception as error:  # noqa: BLE001  (the next report, or the run's end, brings the news)
                logger.debug("Progress not written error=%s", error)
                left = list(reports.values())
            with self._guard:
                for report in left:
                    self._pending.setdefault(report.execution, report)
        return True


@database.retried
def write(reports: list[Report]) -> list[Report]:
    """Publish reports of the runs that are still their executions'; return those whose run is locked."""
    with database.transact():
        running = _runs().filter(pk__in=[report.run for report in reports], status=Status.PENDING)
        locked = running.order_by("pk").select_for_update(skip_locked=True, no_key=True)
        held = dict(locked.values_list("pk", "attempt"))
        landed = [report for report in reports if held.get(report.run) == report.attempt]
        _publish(landed)
        attempts = dict(running.exclude(pk__in=held).values_list("pk", "attempt"))
    return [report for report in reports if attempts.get(report.run) == report.attempt]


def _publish(reports: list[Report]) -> None:
    if not reports:
        return
    now = clock.now()
    Event.objects.using(database.alias()).bulk_create(
        [
            Event(workflow_id=one.run, key=KEY, value=serialization.encode(one.value), updated_at=now)
            for one in reports
        ],
        update_conflicts=True,
        unique_fields=["workflow_id", "key"],
        update_fields=["value", "serialization", "updated_at"],
    )
    keys = [News("event", one.workflow_id, KEY).key for one in reports]
    waits.wake_waiting_for(*keys)
    transaction.on_commit(lambda: notify.announce(*keys), using=database.alias())


def _runs() -> Any:
    return Workflow.objects.using(database.alias())


_reporters: dict[int, Reporter] = {}


def reporter() -> Reporter:
    """Return this process's reporter."""
    return _reporters.setdefault(os.getpid(), Reporter())
