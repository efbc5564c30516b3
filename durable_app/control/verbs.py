"""The verbs of operators, in one table: which permission each needs, and in which states it is possible."""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

UNCLAIMED = frozenset({"ENQUEUED", "DELAYED", "WAITING"})
ACTIVE = frozenset({"ENQUEUED", "DELAYED", "PENDING", "WAITING"})
UNSUCCESSFUL = frozenset({"ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"})
FINISHED = UNSUCCESSFUL | {"SUCCESS"}
ANY = ACTIVE | FINISHED

BULK_OPERATION = "durable.bulk_operation"
EXPORT = "durable.export"

ON_BEHALF = frozenset({BULK_OPERATION, EXPORT})
"""Workflows whose runs do what somebody was permitted to ask for, in the name of who asked."""

SAFE_ON_BEHALF = frozenset({"cancel", "delete"})
"""Verbs by which such a run does no more than was asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verb:
    """Something an operator may do to a run."""

    name: str
    permission: str
    possible_in: frozenset[str]
    label: Any
    done: Any
    """The participle: a run "was cancelled"."""
    is_destructive: bool = False
    is_bulk: bool = True
    """Whether it can be done to many runs at once."""

    def refusal(self, status: str) -> str:
        """Return why the verb is not possible in a state; empty if it is."""
        if status in self.possible_in:
            return ""
        possible = ", ".join(sorted(self.possible_in))
        return f"The run is {status}; this is possible in {possible}."

    def refusal_of(self, run: Any) -> str:
        """Return why the verb is not possible on a run; empty if it is."""
        if run.name in ON_BEHALF and self.name not in SAFE_ON_BEHALF:
            return "The run does what somebody else was permitted to ask for: ask for it anew."
        return self.refusal(run.status)


_TABLE = (
    Verb(
        name="cancel",
        permission="cancel_workflow",
        possible_in=ACTIVE,
        label=_("Cancel"),
        done=_("cancelled"),
        is_destructive=True,
    ),
    Verb(
        name="resume",
        permission="resume_workflow",
        possible_in=frozenset({"CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"}),
        label=_("Resume"),
        done=_("resumed"),
    ),
    Verb(
        name="run_now",
        permission="resume_workflow",
        possible_in=frozenset({"ENQUEUED", "DELAYED"}),
        label=_("Run now"),
        done=_("made ready to start at once"),
    ),
    Verb(
        name="set_priority",
        permission="resume_workflow",
        possible_in=UNCLAIMED,
        label=_("Set priority"),
        done=_("given a new priority"),
    ),
    Verb(
        name="retry",
        permission="fork_workflow",
        possible_in=UNSUCCESSFUL,
        label=_("Retry from failed step"),
        done=_("retried"),
    ),
    Verb(
        name="fork",
        permission="fork_workflow",
        possible_in=ANY,
        label=_("Fork"),
        done=_("forked"),
        is_bulk=False,
    ),
    Verb(
        name="rewind",
        permission="fork_workflow",
        possible_in=FINISHED,
        label=_("Rewind"),
        done=_("rewound"),
        is_destructive=True,
        is_bulk=False,
    ),
    Verb(
        name="send",
        permission="send_message",
        possible_in=ACTIVE,
        label=_("Send message"),
        done=_("sent the message"),
    ),
    Verb(
        name="start_like",
        permission="start_workflow",
        possible_in=ANY,
        label=_("Start like this"),
        done=_("started"),
        is_bulk=False,
    ),
    Verb(
        name="delete",
        permission="delete_workflow",
        possible_in=FINISHED,
        label=_("Delete"),
        done=_("deleted"),
        is_destructive=True,
    ),
)

VERBS = {verb.name: verb for verb in _TABLE}
