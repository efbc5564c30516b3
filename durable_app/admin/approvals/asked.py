"""What a run asks people now, for the page of the run."""

import re
from dataclasses import dataclass
from typing import Any

from durable_app.admin.neighbours import page_url
from durable_app.models import Approval
from durable_app.models.workflow import ACTIVE
from durable_app.store import database

MOST = 20
"""Questions of one run that are shown."""

_APPROVAL = re.compile(r"approval (\d{1,18}): ")


def question_url(site: Any, waiting_for: str) -> str:
    """Return the page of the question that a run waits for, told by its words; empty if it is none."""
    found = _APPROVAL.match(waiting_for)
    return page_url(site, Approval, int(found[1])) if found else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """An open question of a run."""

    question: Approval
    url: str
    """Its page; empty if the site has no approvals."""


def asked_by(site: Any, run: Any) -> list[Asked]:
    """Return the open questions of a run that has not ended."""
    if run.status not in ACTIVE:
        return []
    rows = Approval.objects.using(database.alias()).filter(workflow_id=run.pk, closed_at__isnull=True)
    return [
        Asked(question=one, url=page_url(site, Approval, one.pk))
        for one in rows.defer("description", "context").order_by("pk")[:MOST]
    ]
