"""What a listing may be asked for: keywords checked, times understood."""

from typing import Any

from durable_app.errors import InvalidOptionError
from durable_app.identifiers import is_storable
from durable_app.store import listing


def checked_filter(given: dict[str, Any], also: frozenset[str] = frozenset()) -> listing.Filter:
    """Return the filter that these keywords describe, or raise InvalidOptionError.

    ``also`` names the keywords that are known besides.
    """
    unknown = given.keys() - listing.FILTERS
    if unknown:
        known = ", ".join(sorted(listing.FILTERS | also))
        raise InvalidOptionError(f"unknown filter {min(unknown)!r}; known are: {known}")
    for name, value in given.items():
        _check_storable(name, value)
    _check_among("status", given.get("status"), listing.STATUSES)
    _check_among("waiting_for", given.get("waiting_for"), listing.KINDS)
    moments = {name: listing.moment(name, given[name]) for name in listing.MOMENTS & given.keys()}
    return listing.Filter(**{**given, **moments})


def _check_among(name: str, values: Any, known: frozenset[str]) -> None:
    for one in [values] if isinstance(values, str) else values or ():
        if one not in known:
            raise InvalidOptionError(f"{name} {one!r} is none of {', '.join(sorted(known))}")


def _check_storable(name: str, value: Any) -> None:
    """Raise InvalidOptionError for a text that no database can look for."""
    for text in [value] if isinstance(value, str) else value if isinstance(value, list | tuple | set) else ():
        if not is_storable(str(text)):
            raise InvalidOptionError(f"{name} cannot be {text!r}: databases do not store it")
