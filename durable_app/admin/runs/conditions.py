"""From a link's parameters to the conditions of ``list_workflows``: filters and the words of a search.

A search is made of qualifiers (``name:checkout queue:mail attr.customer:acme``); a word without one is a
run's id, or how it begins. What nobody can mean raises WrongLink.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, timedelta
from typing import Any

from django.utils.translation import gettext as _

from durable_app import clock
from durable_app.admin.keyset import WrongLink
from durable_app.control.verbs import ACTIVE, FINISHED, UNSUCCESSFUL
from durable_app.errors import InvalidOptionError
from durable_app.filters import checked_filter
from durable_app.identifiers import is_storable
from durable_app.store import listing, runs

Conditions = dict[str, Any]
"""By the names of ``list_workflows``'s filters; plain JSON, so that a bulk operation can keep them."""

Sight = Callable[[Any], Any]

SEARCH = "q"

WINDOW = "window"

ANY_AGE = "all"
"""The window that leaves nothing out."""

WINDOWS: Mapping[str, timedelta] = {
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}

GROUPS: Mapping[str, frozenset[str]] = {
    "active": ACTIVE,
    "failed": UNSUCCESSFUL - {"CANCELLED"},
    "finished": FINISHED,
}

_STATES: Mapping[str, frozenset[str]] = {name.lower(): frozenset({name}) for name in sorted(listing.STATUSES)}

_FAMILIES: Mapping[str, Conditions] = {
    "top": {"has_parent": False},
    "children": {"has_parent": True},
    "forks": {"is_fork": True},
}

QUALIFIERS: Mapping[str, str] = {
    "id": "workflow_ids",
    "name": "name",
    "status": "status",
    "queue": "queue_name",
    "user": "user",
    "version": "app_version",
    "schedule": "schedule_name",
    "worker": "worker",
    "parent": "parent_workflow_id",
    "fork": "forked_from",
    "error": "error_type",
    "waiting": "waiting_for",
}

_WORD = re.compile(r'(?:"(?:\\.|[^"\\])*"|[^\s"])+')
_LONGEST = 1000


def conditions_of(parameters: Mapping[str, Any], sees: Sight) -> Conditions:
    """Return what a link's parameters ask for; raises WrongLink.

    ``sees`` leaves those of a queryset of runs that the asker may know of: a search must not tell of others.
    An id, or the beginning of one, is looked for whatever the window; a range of times that is typed holds.
    """
    found = searched(parameters.get(SEARCH) or "", sees)
    is_any_age = names_ids(found)
    for name, read in FILTERS.items():
        value = parameters.get(name)
        if value:
            more = read(value)
            _add(found, {} if name == WINDOW and is_any_age else more)
    try:
        checked_filter(found)
    except InvalidOptionError as error:
        raise WrongLink(str(error)) from error
    return found


def searched(text: str, sees: Sight) -> Conditions:
    """Return what the words of a search ask for."""
    found: Conditions = {}
    for word in _split(text):
        name, colon, value = word.partition(":")
        if colon and name.startswith("attr.") and len(name) > 5:
            _add(found, {"attributes": {name[5:]: _json_or_text(value)}})
        elif colon and name in QUALIFIERS:
            value = _unquoted(value)
            _add(found, _status(value) if name == "status" else {QUALIFIERS[name]: [value]})
        else:
            _add(found, _id(_unquoted(word), sees))
    return found


def names_ids(conditions: Conditions) -> bool:
    """Return whether runs are asked for by their ids."""
    return "workflow_ids" in conditions or "workflow_id_prefix" in conditions


def words(text: str) -> list[tuple[str, str]]:
    """Return the words of a search, each with its qualifier or an empty text; raises WrongLink."""
    found = []
    for word in _split(text):
        name, colon, value = word.partition(":")
        is_qualified = colon and name.isidentifier()
        found.append((name, _unquoted(value)) if is_qualified else ("", _unquoted(word)))
    return found


def _split(text: str) -> list[str]:
    if len(text) > _LONGEST or not is_storable(text):
        raise WrongLink(_("Nothing can be found with this search."))
    if _WORD.sub("", text).strip():
        raise WrongLink(_("A quotation mark has no partner."))  # what is not understood is never passed over
    return _WORD.findall(text)


def _id(text: str, sees: Sight) -> Conditions:
    """A whole id is looked up by its index; only what is none is the beginning of some."""
    is_whole = runs.find(text, sees) is not None
    return {"workflow_ids": [text]} if is_whole else {"workflow_id_prefix": text}


def quoted(text: str) -> str:
    """Return a text as a qualifier's value: what it holds ends no word."""
    escaped = re.sub(r'(["\\])', r"\\\1", text)
    return f'"{escaped}"'


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


def _json_or_text(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    is_plain = (
        value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))
    )
    return value if is_plain or (isinstance(value, str) and is_storable(value)) else text


def _add(found: Conditions, more: Conditions) -> None:
    """Combine with AND: of a condition that is there already, what both allow is left."""
    for name, value in more.items():
        if name not in found:
            found[name] = value
        elif name == "attributes":
            _add_pairs(found[name], value)
        elif isinstance(value, list):
            found[name] = [one for one in found[name] if one in value]
        elif found[name] != value:
            raise WrongLink(_("Two conditions contradict each other."))


def _add_pairs(found: Conditions, more: Conditions) -> None:
    if any(name in found and found[name] != value for name, value in more.items()):
        raise WrongLink(_("Two conditions contradict each other."))
    found.update(more)


# filters


def _window(value: str) -> Conditions:
    if value == ANY_AGE:
        return {}
    return {"start_time": (clock.now() - _one_of(WINDOWS, value)).isoformat()}


def _ended(value: str) -> Conditions:
    return {"completed_after": (clock.now() - _one_of(WINDOWS, value)).isoformat()}


def _moment(name: str) -> Callable[[str], Conditions]:
    def read(value: str) -> Conditions:
        try:
            moment = listing.moment(name, value)
            return {} if moment is None else {name: moment.astimezone(UTC).isoformat()}
        except (InvalidOptionError, OverflowError) as error:
            raise WrongLink(_("%(value)s is not a time.") % {"value": value}) from error

    return read


def _status(value: str) -> Conditions:
    known = {**GROUPS, **_STATES}
    return {"status": sorted(_one_of(known, value.lower() if value.lower() in known else value))}


def _family(value: str) -> Conditions:
    found: Conditions = _one_of(_FAMILIES, value)
    return found


def _equal(name: str) -> Callable[[str], Conditions]:
    return lambda value: {name: [value]}


def _one_of(choices: Mapping[str, Any], value: str) -> Any:
    if value not in choices:
        raise WrongLink(
            _("“%(value)s” is none of %(choices)s.") % {"value": value, "choices": ", ".join(choices)}
        )
    return choices[value]


FILTERS: Mapping[str, Callable[[str], Conditions]] = {
    WINDOW: _window,
    "since": _moment("start_time"),
    "until": _moment("end_time"),
    "ended": _ended,
    "status": _status,
    "workflow": _equal("name"),
    "queue": _equal("queue_name"),
    "schedule": _equal("schedule_name"),
    "version": _equal("app_version"),
    "family": _family,
    "waiting": _equal("waiting_for"),
}
"""The list's filters, by the parameter that carries them."""
