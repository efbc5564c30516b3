"""How far back the list of runs looks. Each link says it, but for the plain list, which has the user's own.

The user's own is a day until another is chosen; it is kept in the session. A link with any condition, and
without a window, looks back for ever: only who asks for nothing is shown the newest.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from durable_app.admin.runs.conditions import ANY_AGE, FILTERS, SEARCH, WINDOW, WINDOWS, Conditions, names_ids

KEEP_VAR = "keep"
"""Tells a choice, which is kept for the user, from a link that only says its window."""

USUAL = "24h"

RANGE = ("since", "until")

OWN = (WINDOW, KEEP_VAR, *RANGE)
"""The parameters that are ours."""

_SESSION = "durable_app.window"

SENTENCES: Mapping[str, Any] = {
    "15m": gettext_lazy("Created within the last 15 minutes"),
    "1h": gettext_lazy("Created within the last hour"),
    "24h": gettext_lazy("Created within the last 24 hours"),
    "7d": gettext_lazy("Created within the last 7 days"),
    "30d": gettext_lazy("Created within the last 30 days"),
}

Link = Callable[[dict[str, Any]], str]
"""Makes a link to the same list with other parameters; None takes one away."""


def settled(request: HttpRequest) -> HttpResponse | None:
    """Give a plain link the user's window. One that chooses a window is kept; returns where it leads then."""
    if KEEP_VAR in request.GET:
        chosen = request.GET.get(WINDOW)
        if _is_window(chosen):
            request.session[_SESSION] = chosen
        return HttpResponseRedirect(f"?{_with(request.GET, **{KEEP_VAR: None}).urlencode()}")
    if _is_plain(request.GET):
        kept = request.session.get(_SESSION)
        own: Any = request
        own.GET = _with(request.GET, **{WINDOW: kept if _is_window(kept) else USUAL})
    return None


def _is_plain(parameters: QueryDict) -> bool:
    """Return whether a link asks for nothing but the newest runs."""
    return not any(parameters.get(name) for name in (*FILTERS, SEARCH, "o"))


def _is_window(name: Any) -> bool:
    return name == ANY_AGE or name in WINDOWS


def _with(parameters: QueryDict, **changes: str | None) -> QueryDict:
    found = parameters.copy()
    for name, value in changes.items():
        found.pop(name, None)
        if value is not None:
            found[name] = value
    return QueryDict(found.urlencode())  # nobody changes it, as nobody changes a request's


def any_age(**more: Any) -> dict[str, Any]:
    """Return what a link's parameters become when the window is taken away."""
    return {WINDOW: ANY_AGE, **dict.fromkeys(RANGE), **more}


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """The window of a list as its page shows it."""

    sentence: str
    """What it leaves; empty: everything."""
    note: str
    choices: tuple[tuple[Any, str, bool], ...]
    """Label, link and whether it is the present one, of each."""
    any_age_url: str
    """The same list without any window; empty if it has none."""
    active_url: str
    """The runs that have not ended, of any age; empty where they are not left out."""
    since: str
    until: str
    """The ends of a range that was typed, as a field of a form has them."""
    hidden: tuple[tuple[str, str], ...]
    """The other parameters, for the form of a range."""


def window_of(parameters: Mapping[str, Any], conditions: Conditions, link: Link) -> Window:
    """Return the window that is on; ``link`` makes links to the same list."""
    chosen = parameters.get(WINDOW) or ""
    is_range = any(parameters.get(name) for name in RANGE)
    is_by_id = names_ids(conditions) and not is_range
    present = ANY_AGE if is_by_id or not (chosen or is_range) else chosen
    sentence = "" if is_by_id else str(SENTENCES.get(chosen, ""))
    if is_range:
        sentence = _range(conditions)
    hides_active = bool(sentence) and "status" not in conditions
    return Window(
        sentence=sentence,
        note=_("An id is looked for at any age") if is_by_id and chosen in WINDOWS else "",
        choices=tuple(
            (label, link({**any_age(), WINDOW: name, KEEP_VAR: "1"}), name == present)
            for name, label in (*((name, name) for name in WINDOWS), (ANY_AGE, _("all")))
        ),
        any_age_url=link(any_age()) if sentence else "",
        active_url=link(any_age(status="active")) if hides_active else "",
        since=_field(conditions, "start_time") if is_range else "",
        until=_field(conditions, "end_time") if is_range else "",
        hidden=tuple((name, value) for name, value in parameters.items() if name not in OWN),
    )


def _range(conditions: Conditions) -> str:
    since, until = _shown(conditions, "start_time"), _shown(conditions, "end_time")
    if since and until:
        return _("Created from %(since)s to %(until)s") % {"since": since, "until": until}
    if since:
        return _("Created since %(since)s") % {"since": since}
    return _("Created until %(until)s") % {"until": until}


def _shown(conditions: Conditions, name: str) -> str:
    return _field(conditions, name).replace("T", " ")


def _field(conditions: Conditions, name: str) -> str:
    """Return a time as ``datetime-local`` has it: in the zone of the pages, without its name."""
    if name not in conditions:
        return ""
    moment = localtime(datetime.fromisoformat(conditions[name])).replace(tzinfo=None)
    return moment.isoformat(timespec="seconds" if moment.second else "minutes")
