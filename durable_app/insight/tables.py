"""Runs as rows of a table, with what their reader may see of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from durable_app.insight.payloads import attributes, failure, payload
from durable_app.insight.relatives import conceal
from durable_app.insight.sheets import Row
from durable_app.store import database, listing

BATCH = 500
"""Runs that a statement reads."""

COLUMNS = (
    "workflow_id", "name", "status", "queue_name", "priority", "user", "app_version", "parent_workflow_id",
    "forked_from", "schedule_name", "deduplication_id", "attempt", "recovery_attempts", "created_at",
    "enqueued_at", "started_at", "finished_at", "attributes",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Some rows, and the number of the run below which the next ones are; None: there are no more."""

    rows: list[Row]
    below: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Which runs are wanted, newest first, and what of them."""

    conditions: dict[str, Any]
    """By the names of ``list_workflows``'s filters."""
    sees: listing.Sight
    """Leaves those of a queryset of runs that the reader may know of."""
    may_see: Callable[[Any], bool] | None = None
    """Tells whether the reader may see a run's payloads; None: they are not wanted."""
    newest: int | None = None
    """The number of the newest run that is meant; None: of any."""

    def page(self, below: int | None, limit: int) -> Page:
        """Return the next rows, those of runs with lower numbers than ``below``."""
        batch = self._read(below, limit)
        rows = [self._row(run) for run in batch]
        return Page(rows=rows, below=batch[-1].pk if len(batch) == limit else None)

    def pages(self, most: int) -> Iterator[list[Row]]:
        """Yield ``most`` rows at most, page by page."""
        below: int | None = None
        while most > 0:
            found = self.page(below, min(BATCH, most))
            yield found.rows
            if found.below is None:
                return
            most, below = most - len(found.rows), found.below

    @database.retried
    def _read(self, below: int | None, limit: int) -> list[Any]:
        runs = self.sees(listing.matching(listing.Filter(**self.conditions)))
        if self.may_see is None:
            runs = runs.without_payloads()
        if self.newest is not None:
            runs = runs.filter(pk__lte=self.newest)
        if below is not None:
            runs = runs.filter(pk__lt=below)
        found = list(runs.order_by("-pk")[:limit])
        conceal(found, self.sees)
        return found

    def _row(self, run: Any) -> Row:
        row: Row = {name: getattr(run, name) for name in COLUMNS}
        row["attributes"] = attributes(run.attributes) or None
        if self.may_see is not None:
            row |= _payloads(run, may_see=self.may_see(run))
        return {name: one.isoformat() if hasattr(one, "isoformat") else one for name, one in row.items()}


def _payloads(run: Any, *, may_see: bool) -> Row:
    inputs = payload(run.inputs, run.serialization, may_see=may_see, is_inputs=True)
    output = payload(run.output, run.serialization, may_see=may_see)
    error = failure(run.error, may_see=may_see)
    return {
        "inputs": None if inputs is None else inputs.value,
        "output": None if output is None else output.value,
        "error": None if error is None else f"{error.kind}: {error.message}",
    }
