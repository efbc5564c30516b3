"""Times: the seed counts milliseconds since 1970, and reads texts as RFC 3339."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def epoch_ms(at: datetime) -> int:
    """Return a time in whole milliseconds since 1970."""
    return (at - EPOCH) // MILLISECOND


def epoch_ms_or_none(at: datetime | None) -> int | None:
    """Return a time in milliseconds since 1970, or None."""
    return None if at is None else epoch_ms(at)


def at_epoch_ms(milliseconds: int) -> datetime:
    """Return the time that many milliseconds after 1970."""
    return EPOCH + milliseconds * MILLISECOND


def end_of_millisecond(at: datetime) -> datetime:
    """Return the last moment that the seed, whose times are milliseconds, does not tell from this one."""
    return at_epoch_ms(epoch_ms(at) + 1) - timedelta.resolution
