"""Where a question stands, for people: open, answered by whom, or too late."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from durable_app.admin.display import roughly
from durable_app.models.workflow import TERMINAL


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """A question's state: whether it can be answered, how it is marked, and a sentence."""

    is_open: bool
    kind: str
    """As of a badge."""
    shape: str
    label: Any
    sentence: str = ""


def state_of(question: Any, now: datetime) -> State:
    """Return where a question stands at a time."""
    if question.closed_at is not None and question.approved is None:
        ago = roughly(now - question.closed_at)
        sentence = _("Nobody answered in time: it was closed %(ago)s ago.") % {"ago": ago}
        return State(is_open=False, kind="is-idle", shape="◷", label=_("expired"), sentence=sentence)
    if question.closed_at is not None:
        return _answered(question, now)
    if question.workflow.status in TERMINAL:
        sentence = _("The run that asked has ended: nobody waits for an answer.")
        return State(is_open=False, kind="is-idle", shape="⊘", label=_("run ended"), sentence=sentence)
    if question.deadline_at is not None and question.deadline_at <= now:
        ago = roughly(now - question.deadline_at)
        sentence = _("The deadline passed %(ago)s ago: it can be answered no more.") % {"ago": ago}
        return State(is_open=False, kind="is-bad", shape="◷", label=_("overdue"), sentence=sentence)
    return State(is_open=True, kind="is-wait", shape="‖", label=_("open"))


def _answered(question: Any, now: datetime) -> State:
    values = {"who": question.answered_by, "ago": roughly(now - question.closed_at)}
    if question.approved:
        sentence = _("Answered by %(who)s %(ago)s ago: approved.") % values
        return State(is_open=False, kind="is-ok", shape="✓", label=_("approved"), sentence=sentence)
    sentence = _("Answered by %(who)s %(ago)s ago: rejected.") % values
    return State(is_open=False, kind="is-bad", shape="✗", label=_("rejected"), sentence=sentence)
