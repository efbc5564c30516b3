"""A run's parent and origin, for readers who may not know of every run."""

from collections.abc import Iterable
from typing import Any

from durable_app.store import runs
from durable_app.store.listing import Sight

COLUMNS = ("parent_workflow_id", "forked_from")


def conceal(found: Iterable[Any], sees: Sight) -> None:
    """Take from rows of runs the ids of those parents and origins that ``sees`` leaves out.

    The rows are for display: nobody may save them. Costs no statement where everybody sees everything.
    """
    rows = list(found)
    ids = {value for row in rows for name in COLUMNS if (value := getattr(row, name))}
    hidden = runs.hidden(list(ids), sees) if ids else set()
    for row in rows:
        for name in COLUMNS:
            if getattr(row, name) in hidden:
                setattr(row, name, None)
