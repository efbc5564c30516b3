"""What an order's page shows: milestones for the customer, the engine's records for the curious."""

from dataclasses import dataclass
from datetime import datetime

from demo_project.orders.models import Milestone, Order, workflow_id_for
from durable_app import Status, StepInfo, get_event, list_workflow_steps, retrieve_workflow

Kind = Milestone.Kind

JOURNEY = {
    Kind.RESERVED: ("Items reserved", "We are taking your items off the shelf."),
    Kind.PAYMENT_REQUESTED: (
        "Payment prepared",
        "The payment provider is slow today. We keep asking.",
    ),
    Kind.PAID: ("Paid", "Waiting for your payment."),
    Kind.PICKED: ("Picked", "Somebody walks to the shelf."),
    Kind.PACKED: ("Packed", "Wrapping, with too much paper."),
    Kind.LABELLED: ("Labelled", "Printing the address."),
    Kind.DISPATCHED: ("Handed to the carrier", "The van is at the door."),
}
"""The good day's milestones: what each is called, and what is said until it is reached."""

SETBACKS = {
    Kind.MONEY_RETURNED: "Money returned",
    Kind.CANCELLED: "Order cancelled",
    Kind.STOCK_RELEASED: "Items back on the shelf",
}


FINISHED = frozenset({Status.SUCCESS, Status.ERROR, Status.CANCELLED, Status.MAX_RECOVERY_ATTEMPTS_EXCEEDED})


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One line of the timeline; ``state`` is done, current, upcoming or setback."""

    label: str
    state: str
    hint: str = ""
    reached_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """A step as the engine recorded it."""

    step: StepInfo
    of_child: bool

    @property
    def kind(self) -> str:
        """Return the classes of its row on the page."""
        kinds = {
            "failed": self.step.error is not None,
            "builtin": self.step.name.startswith("durable."),
            "child": self.of_child,
        }
        return " ".join(kind for kind, applies in kinds.items() if applies)

    @property
    def outcome(self) -> str:
        """Return how it ended, in a word or two."""
        if self.step.error is not None:
            return "failed"
        return f"done on try {self.step.tries}" if self.step.tries > 1 else "done"


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Everything that changes on an order's page."""

    headline: str
    stages: list[Stage]
    percent: int
    finished: bool
    failed: bool
    payment_url: str
    records: list[Record]


def progress_of(order_number: str, order: Order | None, *, answered: bool) -> Progress:
    """Return where the order stands; there is no row yet while its workflow is starting.

    Who has answered on the payment page need not be asked again, even before the workflow has heard.
    Raises NonExistentWorkflowError if nobody has placed such an order.
    """
    run_id = workflow_id_for(order_number)
    run = retrieve_workflow(run_id).get_status()
    reached = {m.kind: m.reached_at for m in order.milestones.all()} if order else {}
    finished = run.status in FINISHED
    failed = finished and (order is None or order.status != Order.Status.DISPATCHED)
    return Progress(
        headline=str(get_event(run_id, "status", timeout_seconds=0) or "We have your order."),
        stages=stages_of(reached, stopped=failed or bool(reached.keys() & SETBACKS.keys())),
        percent=percent_of(reached),
        finished=finished,
        failed=failed,
        payment_url="" if answered else payment_url_of(run_id, order),
        records=records_of(run_id),
    )


def stages_of(reached: dict[str, datetime], *, stopped: bool) -> list[Stage]:
    """Return the timeline: what is reached, then what is to come, or what went wrong."""
    done = [
        Stage(label=label, state="done", reached_at=reached[kind])
        for kind, (label, _) in JOURNEY.items()
        if kind in reached
    ]
    if stopped:
        return done + [
            Stage(label=label, state="setback", reached_at=reached[kind])
            for kind, label in SETBACKS.items()
            if kind in reached
        ]
    ahead = [texts for kind, texts in JOURNEY.items() if kind not in reached]
    current = [Stage(label=label, state="current", hint=hint) for label, hint in ahead[:1]]
    return done + current + [Stage(label=label, state="upcoming") for label, _ in ahead[1:]]


def percent_of(reached: dict[str, datetime]) -> int:
    """Return how much of the good day's way is behind the order."""
    return 100 * len(reached.keys() & JOURNEY.keys()) // len(JOURNEY)


def payment_url_of(run_id: str, order: Order | None) -> str:
    """Return the payment page that the workflow has published, while it waits for the customer."""
    if order is None or order.status != Order.Status.AWAITING_PAYMENT:
        return ""
    return str(get_event(run_id, "payment_url", timeout_seconds=0) or "")


def records_of(run_id: str, *, of_child: bool = False) -> list[Record]:
    """Return the recorded steps of the run, each child's below the step that started it."""
    records = []
    seen: set[str] = set()
    for step in list_workflow_steps(run_id):
        records.append(Record(step=step, of_child=of_child))
        if step.child_workflow_id and step.child_workflow_id not in seen:
            seen.add(step.child_workflow_id)
            records += records_of(step.child_workflow_id, of_child=True)
    return records
