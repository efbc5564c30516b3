"""Gauges and the last hour of a queue as shapes, for a template that only writes them down."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from durable_app.store.activity import Ended

BUCKET = timedelta(minutes=5)

BUCKETS = 12
"""Bars of the last hour."""

HEIGHT = 24
"""Units that the tallest bar is high."""

STEP = 10
"""Units from one bar to the next."""

_KINDS = {"SUCCESS": "succeeded", "CANCELLED": "cancelled"}
"""What an ended run's status counts as; all else has failed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gauge:
    """How much of a limit is used."""

    used: int
    limit: int

    @property
    def width(self) -> str:
        """The used share, as a template writes it: no language's figures."""
        return f"{min(1.0, self.used / self.limit) * 100:.1f}%"

    @property
    def is_full(self) -> bool:
        """Whether nothing is left."""
        return self.used >= self.limit


@dataclass(kw_only=True, slots=True)
class Bar:
    """The runs that ended within a few minutes, and where they are drawn."""

    since: datetime
    x: int
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    top: str = ""
    """Where the bar begins, seen from above."""
    height: str = ""
    failed_height: str = ""
    """Of the part that has failed, which is drawn at the bottom."""
    failed_top: str = ""

    @property
    def total(self) -> int:
        """How many ended."""
        return self.succeeded + self.failed + self.cancelled


@dataclass(frozen=True, kw_only=True, slots=True)
class Hour:
    """What left a queue lately, the oldest bar first."""

    bars: tuple[Bar, ...]
    total: int
    failed: int

    @property
    def width(self) -> int:
        """Units that all bars take."""
        return len(self.bars) * STEP


def first_bucket(now: datetime) -> datetime:
    """Return when the oldest bar begins: bars are counted from the epoch on."""
    epoch = datetime.fromtimestamp(0, UTC)
    return epoch + BUCKET * ((now - epoch) // BUCKET - BUCKETS + 1)


def hours(names: Iterable[str], ends: Iterable[Ended], since: datetime) -> dict[str, Hour]:
    """Return the last hour of each of some queues."""
    bars = {
        name: [Bar(since=since + BUCKET * number, x=STEP * number) for number in range(BUCKETS)]
        for name in names
    }
    for one in ends:
        number = (one.since - since) // BUCKET
        if one.queue_name in bars and 0 <= number < BUCKETS:
            bar, kind = bars[one.queue_name][number], _KINDS.get(one.status, "failed")
            setattr(bar, kind, getattr(bar, kind) + one.count)
    return {name: _hour(found) for name, found in bars.items()}


def _hour(bars: list[Bar]) -> Hour:
    highest = max((bar.total for bar in bars), default=0) or 1
    for bar in bars:
        height, failed = HEIGHT * bar.total / highest, HEIGHT * bar.failed / highest
        bar.height, bar.top = f"{height:.1f}", f"{HEIGHT - height:.1f}"
        bar.failed_height, bar.failed_top = f"{failed:.1f}", f"{HEIGHT - failed:.1f}"
    return Hour(
        bars=tuple(bars),
        total=sum(bar.total for bar in bars),
        failed=sum(bar.failed for bar in bars),
    )
