"""What an audit event says, in words: its verb, and what it changed."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from durable_app.admin import display
from durable_app.control.verbs import VERBS
from durable_app.insight.payloads import plain, redacted
from durable_app.models import AuditEvent

_LABELS: Mapping[str, Any] = {
    **{name: verb.label for name, verb in VERBS.items()},
    "configure": gettext_lazy("Edit limits"),
    "reset": gettext_lazy("Back to the code’s limits"),
    "stop": gettext_lazy("Stop after current"),
    "recover": gettext_lazy("Recover its runs"),
}

_LONGEST = 200

LONGEST_REASON = 60


def label_of(verb: str) -> str:
    """Return a verb as the buttons say it."""
    return str(_LABELS[verb]) if verb in _LABELS else capfirst(verb.replace("_", " "))


def changes_of(event: AuditEvent) -> list[str]:
    """Return what a verb changed, "concurrency 5 → 10", or what else it was told, without secrets."""
    details = redacted(plain(event.details or {}))
    before, after = details.pop("before", None), details.pop("after", None)
    found = list(_differences(before or {}, after or {})) if before is not None or after is not None else []
    if detail := details.pop("detail", ""):
        found.append(str(detail))
    return found + [f"{_name(name)}: {_value(value)}" for name, value in details.items() if value]


@dataclass(frozen=True, kw_only=True, slots=True)
class Deed:
    """An audit event with its words."""

    event: AuditEvent
    label: str
    changes: list[str]
    reason: SafeString


def deeds(events: Iterable[AuditEvent] | None) -> list[Deed] | None:
    """Return events with their words; None for those who may not see them."""
    if events is None:
        return None
    return [
        Deed(
            event=one,
            label=label_of(one.verb),
            changes=changes_of(one),
            reason=display.folded(one.reason, LONGEST_REASON),
        )
        for one in events
    ]


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys((*before, *after)):
        if before.get(name) != after.get(name):
            yield f"{_name(name)} {_value(before.get(name))} → {_value(after.get(name))}"


def _name(name: str) -> str:
    return name.replace("_", " ")


def _value(value: Any) -> str:
    match value:
        case None | False:
            return _("none")
        case {"limit": limit, "period": period}:
            return _("%(limit)s in %(period)s s") % {"limit": limit, "period": period}
        case Mapping():
            text = ", ".join(f"{_name(name)} {_value(one)}" for name, one in value.items())
        case list():
            text = ", ".join(map(str, value))
        case _:
            text = str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
