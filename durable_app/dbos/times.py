"""Times: the seed counts milliseconds since 1970, and reads texts as RFC 3339."""

from datetime import UTC, datetime, timedelta


def epoch_ms(at: datetime) -> int:
    """Return a time in milliseconds since 1970."""
    return round(at.timestamp() * 1000)


def epoch_ms_or_none(at: datetime | None) -> int | None:
    """Return a time in milliseconds since 1970, or None."""
    return None if at is None else epoch_ms(at)


def at_epoch_ms(milliseconds: int) -> datetime:
    """Return the time that many milliseconds after 1970."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
