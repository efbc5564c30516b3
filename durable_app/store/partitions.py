"""Partition keys in turn: each key with ready runs comes once a round, so that none starves."""

from collections.abc import Iterator
from itertools import zip_longest
from typing import NamedTuple

from durable_app.store import database
from durable_app.store.claims import READY, Claimer, ready, whose

BATCH = 200
"""Keys that one statement lists."""

# One index lookup a key, however many runs stand behind it ("loose index scan").
_KEYS_AFTER = """
WITH RECURSIVE line(key) AS (
    SELECT MIN(partition_key) FROM durable_app_workflow
    WHERE status = 'ENQUEUED' AND partition_key IS NOT NULL
      AND queue_name = %(queue)s AND partition_key > %(after)s
    UNION ALL
    SELECT (
        SELECT MIN(partition_key) FROM durable_app_workflow
        WHERE status = 'ENQUEUED' AND partition_key IS NOT NULL
          AND queue_name = %(queue)s AND partition_key > line.key
    ) FROM line WHERE line.key IS NOT NULL
)
SELECT key FROM line WHERE key IS NOT NULL LIMIT %(limit)s
"""


_FIRST = f"""
SELECT line.key, found.id
FROM unnest(%(keys)s::text[]) AS line(key)
CROSS JOIN LATERAL (
    SELECT run.id, run.priority FROM durable_app_workflow AS run
    WHERE run.queue_name = %(queue)s AND run.partition_key = line.key AND run.started_at IS NULL AND {READY}
    ORDER BY run.priority, run.id LIMIT %(limit)s
) AS found
ORDER BY found.priority, found.id
"""  # noqa: S608  (names from `claims`)


class Pick(NamedTuple):
    """A run that may be taken; one that ``starts`` has not run before, and counts against a rate."""

    run: int
    key: str | None
    name: str = ""
    starts: bool = False


def keys_after(queue: str, last: str) -> Iterator[str]:
    """Yield each partition key of a queue that has enqueued runs: those after ``last``, then the others."""
    seen: set[str] = set()
    for key in _ascending(queue, last):
        seen.add(key)
        yield key
    for key in _ascending(queue, "") if last else ():
        if key in seen:
            return  # once around; and a key that came twice would have twice its limits
        yield key


def _ascending(queue: str, after: str) -> Iterator[str]:
    while True:
        with database.connection().cursor() as cursor:
            cursor.execute(_KEYS_AFTER, {"queue": queue, "after": after, "limit": BATCH})
            keys = [key for (key,) in cursor.fetchall()]
        yield from keys
        if len(keys) < BATCH:
            return
        after = keys[-1]


def first_of(
    claimer: Claimer, names: list[str], queue: str, keys: list[str], limit: int
) -> dict[str, list[int]]:
    """Return the first runs of each key that have not begun, up to ``limit`` each; none is locked."""
    found: dict[str, list[int]] = {key: [] for key in keys}
    if database.is_postgres():
        with database.connection().cursor() as cursor:
            given = {**whose(claimer, names), "queue": queue, "keys": keys, "limit": limit}
            cursor.execute(_FIRST, given)
            for key, run in cursor.fetchall():
                found[key].append(run)
        return found
    fresh = ready(claimer, names).filter(queue_name=queue, started_at__isnull=True)
    for key in keys:  # one by one, where a statement is no trip to a server
        line = fresh.filter(partition_key=key).order_by("priority", "pk")
        found[key] += line.values_list("pk", flat=True)[:limit]
    return found


def interleaved(lines: list[list[Pick]], *, room: int, starts: int) -> list[Pick]:
    """Return the first of each line, then the second of each …: ``room`` in all, ``starts`` that start."""
    picks: list[Pick] = []
    for turn in zip_longest(*lines):
        for pick in turn:
            if pick is None or (pick.starts and starts < 1):
                continue
            if len(picks) == room:
                return picks
            starts -= pick.starts
            picks.append(pick)
    return picks
