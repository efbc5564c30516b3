"""Where a victim dies: engine functions, and whether before, inside or after their commit.

The engine knows nothing of this: a victim replaces the functions in its own process.
"""

import functools
import itertools
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from django.db import transaction

from durable_app.store import messages
from durable_app.store.records import Checkpoint, Entry, NewRun, Outcome

Moment = Literal["before", "uncommitted", "after"]
Hit = Callable[[tuple[Any, ...], Any], bool]


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A function by its dotted name, and the moment of its call at which the process dies.

    ``counts`` says, from the arguments and (after the call) the result, whether a call is a hit.
    """

    target: str
    when: Moment
    counts: Hit = lambda args, result: True
    in_general: bool = False
    """Whether messages and events go the general way, also where one statement would do."""


def _writes(kind: type) -> Hit:
    return lambda args, result: isinstance(args[0], kind)


def _has(kind: type) -> Hit:
    """Count the batches of the committer that have such a record: also those of coroutines."""
    return lambda args, result: any(isinstance(record, kind) for record in args[1])


def _found(args: tuple[Any, ...], result: Any) -> bool:
    return bool(result)


def _took(args: tuple[Any, ...], result: Any) -> bool:
    return bool(result.runs)


BATCH = "store.committer.Committer._write_through_outage"

POINTS = {
    "created": Point(target="store.database.commit", when="after", counts=_writes(NewRun)),
    "claiming": Point(target="store.claims.claim", when="uncommitted", counts=_found),
    "claimed": Point(target="store.claims.claim", when="after", counts=_found),
    "claiming-limited": Point(target="store.limited.claim", when="uncommitted", counts=_took),
    "claimed-limited": Point(target="store.limited.claim", when="after", counts=_took),
    "reading-history": Point(target="store.steps.histories", when="after", counts=_found),
    "before-checkpoint": Point(target="store.database.commit", when="before", counts=_writes(Checkpoint)),
    "after-checkpoint": Point(target="store.database.commit", when="after", counts=_writes(Checkpoint)),
    "recording": Point(target="store.steps.record_within", when="after", in_general=True),
    "after-transaction": Point(target="engine.transactions._Attempt.run", when="after"),
    "receipt-begun": Point(target="store.steps.claim_receipt", when="after"),
    "receipt": Point(target="store.steps.leave_receipt", when="after"),
    "consumed": Point(target="store.messages.consume", when="after", counts=_found),
    "taken": Point(target="store.postgres_messages.take", when="after", counts=_found),
    "sent": Point(target="store.postgres_messages.send", when="after", counts=_found),
    "published": Point(target="store.postgres_messages.publish", when="after", counts=_found),
    "launched": Point(target="store.runs.launch_child", when="after"),
    "before-outcome": Point(target="store.database.commit", when="before", counts=_writes(Outcome)),
    "after-outcome": Point(target="store.database.commit", when="after", counts=_writes(Outcome)),
    "finishing": Point(target="store.runs.finish_awaited", when="uncommitted"),
    "finished": Point(target="store.runs.finish_awaited", when="after"),
    "before-write": Point(target=BATCH, when="before", counts=_has(Checkpoint)),
    "after-write": Point(target=BATCH, when="after", counts=_has(Checkpoint)),
    "before-end": Point(target=BATCH, when="before", counts=_has(Outcome)),
    "after-end": Point(target=BATCH, when="after", counts=_has(Outcome)),
    "before-entry": Point(target="store.database.commit", when="before", counts=_writes(Entry)),
    "after-entry": Point(target="store.database.commit", when="after", counts=_writes(Entry)),
    "heeding": Point(target="store.streams.append_awaited", when="uncommitted"),
    "heeded": Point(target="store.streams.append_awaited", when="after"),
    "before-hand-over": Point(target="store.continuing.hand_over", when="before"),
    "handing-over": Point(target="store.continuing.hand_over", when="uncommitted"),
    "handed-over": Point(target="store.continuing.hand_over", when="after"),
    "overdue": Point(target="store.lifecycle.cancel_overdue", when="uncommitted", counts=_found),
    "cancelled-overdue": Point(target="store.lifecycle.cancel_overdue", when="after", counts=_found),
    "before-parking": Point(target="store.waits.park", when="before"),
    "parking": Point(target="store.waits.park", when="uncommitted"),
    "parked": Point(target="store.waits.park", when="after"),
    "waking": Point(target="store.waits.wake_due", when="uncommitted", counts=_found),
    "firing": Point(target="store.ticks.fire", when="uncommitted", counts=_found),
    "fired": Point(target="store.ticks.fire", when="after", counts=_found),
    "recovering": Point(target="store.workers.recover", when="uncommitted", counts=_found),
    "recovered": Point(target="store.workers.recover", when="after", counts=_found),
}


def arm(name: str, nth: int) -> None:
    """Let this process die at the nth hit of a point."""
    point = POINTS[name]
    if point.in_general:
        messages._at_once = lambda *args: None
    path, _, attribute = point.target.rpartition(".")
    owner = _resolved(path)
    original = getattr(owner, attribute)
    replacement = _deadly(original, point, nth)
    setattr(owner, attribute, replacement)
    for module in list(sys.modules.values()):  # `from store.steps import record_within`
        if module.__name__.startswith("durable_app.") and vars(module).get(attribute) is original:
            setattr(module, attribute, replacement)


def _resolved(path: str) -> Any:
    """Import a module of the engine, or a class in one."""
    module, _, last = f"durable_app.{path}".rpartition(".")
    if last[:1] in "_ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        return getattr(import_module(module), last)
    return import_module(f"{module}.{last}")


def _deadly(original: Callable[..., Any], point: Point, nth: int) -> Callable[..., Any]:
    hits = itertools.count(1)

    def hit(args: tuple[Any, ...], result: Any = None) -> None:
        if point.counts(args, result) and next(hits) == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    @functools.wraps(original)
    def replacement(*args: Any, **kwargs: Any) -> Any:
        if point.when == "before":
            hit(args)
            return original(*args, **kwargs)
        if point.when == "after":
            result = original(*args, **kwargs)
            hit(args, result)
            return result
        with transaction.atomic():  # so that the function's own commit waits for ours
            result = original(*args, **kwargs)
            hit(args, result)
        return result

    return replacement
