"""What the engine's rows tell: which worker holds which run, and which steps are recorded."""

from dataclasses import dataclass, field
from datetime import datetime

from demo_project.orders.models import workflow_id_for
from durable_app.models import Status, Step, Workflow

NOBODYS = (Status.ENQUEUED, Status.DELAYED)
"""Whatever worker such a row names, it has given the run back or lost it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """One worker's hold on a run."""

    worker: str
    pid: int
    attempt: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedStep:
    """A step's checkpoint."""

    workflow_id: str
    position: int
    name: str
    attempt: int
    finished_at: datetime


@dataclass(kw_only=True)
class Watch:
    """Watches the runs of one order: the checkout and its child."""

    order_number: str
    claims: dict[str, list[Claim]] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)

    def look(self) -> None:
        """Note who holds the runs now."""
        for run in _family(self.order_number):
            self.statuses[run.name] = run.status
            history = self.claims.setdefault(run.name, [])
            if run.worker is None or run.status in NOBODYS:
                continue
            claim = Claim(worker=run.worker.name, pid=run.worker.pid, attempt=run.attempt)
            if claim not in history:
                history.append(claim)

    def holder(self, name: str) -> Claim | None:
        """Return who holds the run at this moment, if it is being executed."""
        if self.statuses.get(name) != Status.PENDING or not self.claims.get(name):
            return None
        return self.claims[name][-1]

    def note(self) -> str:
        """Return who is at work, in a few words."""
        holders = {name: self.holder(name) for name in self.claims}
        at_work = [f"{name} on {claim.worker}" for name, claim in holders.items() if claim]
        return ", ".join(at_work)


def steps_of(order_number: str) -> list[RecordedStep]:
    """Return every recorded step of the order's runs."""
    names = {run.pk: run.workflow_id for run in _family(order_number)}
    rows = Step.objects.filter(workflow__in=names).order_by("workflow", "position", "branch")
    return [
        RecordedStep(
            workflow_id=names[row.workflow_id],
            position=row.position,
            name=row.name,
            attempt=row.attempt,
            finished_at=row.finished_at,
        )
        for row in rows
    ]


def _family(order_number: str) -> list[Workflow]:
    run_id = workflow_id_for(order_number)
    runs = Workflow.objects.without_payloads().select_related("worker")
    found = runs.filter(workflow_id=run_id) | runs.filter(parent_workflow_id=run_id)
    return list(found.order_by("id"))
