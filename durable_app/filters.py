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
    statuses = given.get("status")
    for one in [statuses] if isinstance(statuses, str) else statuses or ():
        if one not in listing.STATUSES:
            raise InvalidOptionError(f"status {one!r} is none of {', '.join(sorted(listing.STATUSES))}")
    moments = {name: listing.moment(name, given[name]) for name in listing.MOMENTS & given.keys()}
    return listing.Filter(**{**given, **moments})


def _check_storable(name: str, value: Any) -> None:
    """Raise InvalidOptionError for a text that no database can look for."""
    for text in [value] if isinstance(value, str) else value if isinstance(value, list | tuple | set) else ():
        if not is_storable(str(text)):
            raise InvalidOptionError(f"{name} cannot be {text!r}: databases do not store it")
