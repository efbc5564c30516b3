"""From a link's parameters to the audit events that are meant: filters and the words of a search.

A word without a qualifier is a target's id. What nobody can mean raises WrongLink.
"""

from collections.abc import Callable, Mapping
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext as _

from durable_app import clock
from durable_app.admin.keyset import WrongLink
from durable_app.admin.runs.conditions import SEARCH, WINDOWS, words
from durable_app.identifiers import is_storable
from durable_app.models import AuditOutcome
from durable_app.store import moments

COLUMNS: Mapping[str, str] = {
    "verb": "verb",
    "actor": "actor_label",
    "kind": "target_kind",
    "target": "target_id",
    "bulk": "bulk_operation",
    "request": "request_id",
}
"""What a link or a qualifier asks for, and the column that is to be equal."""


def conditions_of(parameters: Mapping[str, Any]) -> Q:
    """Return what a link's parameters ask for; raises WrongLink."""
    found = Q()
    for name, read in FILTERS.items():
        value = parameters.get(name)
        if value:
            found &= read(value)
    for name, value in words(parameters.get(SEARCH) or ""):
        found &= _searched(name, value)
    return found


def _searched(name: str, value: str) -> Q:
    if not name:
        return Q(target_id=value)
    if name not in FILTERS:
        sentence = _("The audit is not searched by “%(name)s”; it is by %(known)s.")
        raise WrongLink(sentence % {"name": name, "known": ", ".join(FILTERS)})
    return FILTERS[name](value)


def _equal(column: str) -> Callable[[str], Q]:
    def read(value: str) -> Q:
        if not is_storable(value):
            raise WrongLink(_("Nothing can be found with this search."))
        return Q(**{column: value})

    return read


def _outcome(value: str) -> Q:
    if value not in AuditOutcome.values:
        choices = ", ".join(AuditOutcome.values)
        raise WrongLink(_("“%(value)s” is none of %(choices)s.") % {"value": value, "choices": choices})
    return Q(outcome=value)


def _window(value: str) -> Q:
    if value not in WINDOWS:
        choices = ", ".join(WINDOWS)
        raise WrongLink(_("“%(value)s” is none of %(choices)s.") % {"value": value, "choices": choices})
    since = clock.now() - WINDOWS[value]
    return Q(pk__gte=moments.first_event_since(since), at__gte=since)


FILTERS: Mapping[str, Callable[[str], Q]] = {
    **{name: _equal(column) for name, column in COLUMNS.items()},
    "outcome": _outcome,
    "window": _window,
}
"""The list's filters, by the parameter that carries them; the same words qualify a search."""
