"""Asking a person: the question stands in the admin's inbox, and on the page of the conversation."""

from demo_project.agent.options import approval_timeout
from durable_app import wait_for_approval
from durable_app.control.actors import Actor
from durable_app.control.answering import Reply, answer
from durable_app.control.operator import Operator
from durable_app.models import Approval

APPROVED, DENIED, EXPIRED = "approved", "denied", "expired"

PAGE = Actor(kind="system", label="the assistant's page")
"""Whoever has a conversation's page plays the member of staff there: this is a demo."""


def ask(action: str, reason: str) -> str:
    """Wait for a person's answer; return APPROVED, DENIED or EXPIRED. It may take days and costs a row."""
    given = wait_for_approval(
        f"May the assistant {action}?",
        description=reason,
        context={"action": action},
        timeout=approval_timeout(),
    )
    if given is None:
        return EXPIRED
    return APPROVED if given.approved else DENIED


def open_request(workflow_id: str) -> Approval | None:
    """Return what a run is waiting to be allowed, None if nothing."""
    return Approval.objects.filter(workflow__workflow_id=workflow_id, closed_at=None).first()


def decide(number: int, *, approve: bool) -> None:
    """Answer a question; the first answer counts."""
    answer(Operator(actor=PAGE), number, Reply(approved=approve))
