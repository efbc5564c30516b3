"""Why does a queue not move? Everything that holds its runs up, in sentences."""

from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

from durable_app import clock
from durable_app.insight.liveness import holds_lease, serves
from durable_app.insight.timeline import short
from durable_app.limits import Limits, RateLimit
from durable_app.store.occupancy import Occupancy


def hold_ups(found: Occupancy, workers: Iterable[Any]) -> list[str]:
    """Return what keeps runs of a queue from being taken now; nothing, if workers only lack room."""
    return list(_hold_ups(found, workers))


def _hold_ups(found: Occupancy, workers: Iterable[Any]) -> Iterator[str]:
    state, limits = found.queue, found.queue.limits
    if not found.is_served:
        yield "There is no queue of this name: its runs wait until code declares it, or somebody creates it."
        return
    if state.is_paused:
        until = f" until {clock.shown(state.paused_until)}" if state.paused_until else ""
        yield f"It is paused{until}."
    if found.waiting and not is_attended(state.name, workers):
        yield "Runs wait, and no live worker serves it."
    if limits.concurrency is not None and found.running >= limits.concurrency:
        yield f"Its limit is reached: {found.running} of {limits.concurrency} run."
    if limits.limiter is not None and found.next_start_at is not None:
        left = short(found.next_start_at - clock.now())
        yield (
            f"Its rate limit is reached: {limits.limiter.limit} starts in {short(limits.limiter.period)}; "
            f"the next one is free in {left}."
        )


def differences(before: Limits, after: Limits) -> list[str]:
    """Return what is another limit, in words: "concurrency 5 → 10"."""
    return [
        f"{field.name} {in_words(getattr(before, field.name))} → {in_words(getattr(after, field.name))}"
        for field in fields(Limits)
        if getattr(before, field.name) != getattr(after, field.name)
    ]


def in_words(limit: int | RateLimit | None) -> str:
    """Return a limit as people say it."""
    match limit:
        case RateLimit():
            return f"{limit.limit} in {limit.period.total_seconds():g} s"
        case bool():
            return "yes" if limit else "no"
        case None:
            return "none"
        case _:
            return str(limit)


def is_attended(queue: str, workers: Iterable[Any]) -> bool:
    """Return whether a live worker serves a queue."""
    now = clock.now()
    return any(holds_lease(one, now) and serves(one, queue) for one in workers)
