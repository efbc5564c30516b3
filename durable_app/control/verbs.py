"""The verbs of operators, in one table: which permission each needs, and in which states it is possible."""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

UNCLAIMED = frozenset({"ENQUEUED", "DELAYED", "WAITING"})
ACTIVE = frozenset({"ENQUEUED", "DELAYED", "PENDING", "WAITING"})
UNSUCCESSFUL = frozenset({"ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"})
FINISHED = UNSUCCESSFUL | {"SUCCESS"}
ANY = ACTIVE | FINISHED


@dataclass(frozen=True, kw_only=True, slots=True)
class Verb:
    """Something an operator may do to a run."""

    name: str
    permission: str
    possible_in: frozenset[str]
    label: Any
    is_destructive: bool = False
    is_bulk: bool = True
    """Whether it can be done to many runs at once."""

    def refusal(self, status: str) -> str:
        """Return why the verb is not possible in a state; empty if it is."""
        if status in self.possible_in:
            return ""
        possible = ", ".join(sorted(self.possible_in))
        return f"The run is {status}; this is possible in {possible}."


_TABLE = (
    Verb(
        name="cancel",
        permission="cancel_workflow",
        possible_in=ACTIVE,
        label=_("Cancel"),
        is_destructive=True,
    ),
    Verb(
        name="resume",
        permission="resume_workflow",
        possible_in=frozenset({"CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"}),
        label=_("Resume"),
    ),
    Verb(
        name="run_now",
        permission="resume_workflow",
        possible_in=frozenset({"ENQUEUED", "DELAYED"}),
        label=_("Run now"),
    ),
    Verb(
        name="set_priority",
        permission="resume_workflow",
        possible_in=UNCLAIMED,
        label=_("Set priority"),
    ),
    Verb(
        name="retry",
        permission="fork_workflow",
        possible_in=UNSUCCESSFUL,
        label=_("Retry from failed step"),
    ),
    Verb(name="fork", permission="fork_workflow", possible_in=ANY, label=_("Fork"), is_bulk=False),
    Verb(
        name="rewind",
        permission="fork_workflow",
        possible_in=FINISHED,
        label=_("Rewind"),
        is_destructive=True,
        is_bulk=False,
    ),
    Verb(name="send", permission="send_message", possible_in=ACTIVE, label=_("Send message")),
    Verb(
        name="start_like",
        permission="start_workflow",
        possible_in=ANY,
        label=_("Start like this"),
        is_bulk=False,
    ),
    Verb(
        name="delete",
        permission="delete_workflow",
        possible_in=FINISHED,
        label=_("Delete"),
        is_destructive=True,
    ),
)

VERBS = {verb.name: verb for verb in _TABLE}
