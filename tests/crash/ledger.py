"""The checker: what must hold after any crash, from records that the engine did not write.

Two ledgers lie outside of the engine: the file that plain steps append to, and the Effect table without
unique keys. A trigger keeps every change of a run's status and attempt. The names L1-L11 are those of the
reliability catalogue.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connection

from durable_app import list_workflow_steps, retrieve_workflow
from durable_app.models import TRANSITIONS, EventHistory, Message, Status, Step, Wait, Workflow
from durable_app.models.workflow import TERMINAL
from tests.shop.models import Effect

TRANSACTIONS = {"charge", "ship", "charge_gated", "ship_gated"}
VALUES = TRANSACTIONS | {"plain", "gated", "durable.recv", "durable.getResult"}
"""Recorded steps whose outputs make up the outcome of a run, in their order."""

TABLE = """
CREATE TABLE crash_audit (
    id {serial}, run bigint, old_status text, new_status text, old_attempt int, new_attempt int
)
"""
TRIGGER = """
CREATE TRIGGER crash_audit AFTER UPDATE OF status, attempt ON durable_app_workflow FOR EACH ROW
WHEN (OLD.status <> NEW.status OR OLD.attempt <> NEW.attempt)
"""
INSERT = """
INSERT INTO crash_audit (run, old_status, new_status, old_attempt, new_attempt)
VALUES (NEW.id, OLD.status, NEW.status, OLD.attempt, NEW.attempt);
"""


def install_audit() -> None:
    """Let the database itself write down every change of a run's status or attempt."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(TABLE.format(serial="bigserial PRIMARY KEY"))
            cursor.execute(
                f"CREATE FUNCTION crash_audit() RETURNS trigger LANGUAGE plpgsql AS "
                f"$$ BEGIN {INSERT} RETURN NULL; END $$"
            )
            cursor.execute(f"{TRIGGER} EXECUTE FUNCTION crash_audit()")
        else:
            cursor.execute(TABLE.format(serial="integer PRIMARY KEY AUTOINCREMENT"))
            cursor.execute(f"{TRIGGER} BEGIN {INSERT} END")


def remove_audit() -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("DROP FUNCTION crash_audit() CASCADE")
        else:
            cursor.execute("DROP TRIGGER crash_audit")
        cursor.execute("DROP TABLE crash_audit")


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One change of a run, as the trigger saw it."""

    old_status: str
    new_status: str
    old_attempt: int
    new_attempt: int


def changes(run: int) -> list[Change]:
    """Return what happened to a run, in order."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT old_status, new_status, old_attempt, new_attempt FROM crash_audit "
            "WHERE run = %s ORDER BY id",
            [run],
        )
        names = ("old_status", "new_status", "old_attempt", "new_attempt")
        return [Change(**dict(zip(names, row, strict=True))) for row in cursor.fetchall()]


@dataclass(frozen=True, kw_only=True, slots=True)
class Execution:
    """One line of the file: a plain step's body has run."""

    workflow_id: str
    step: str
    pid: int
    token: str


@dataclass(frozen=True, slots=True)
class Ledger:
    """The file, and what must hold of the runs that wrote it."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def gate(self, step: str, pid: int) -> None:
        """Let a gated step in one process go on."""
        Path(f"{self.path}.{step}.{pid}").touch()

    def executions(self, workflow_id: str = "", step: str = "") -> list[Execution]:
        """Return the executions so far, all or only these."""
        if not self.path.exists():
            return []
        lines = [line.split() for line in self.path.read_text().splitlines()]
        found = [Execution(workflow_id=one[0], step=one[1], pid=int(one[2]), token=one[3]) for one in lines]
        return [one for one in found if workflow_id in ("", one.workflow_id) and step in ("", one.step)]

    def violations(self, *, crashes: int) -> list[str]:
        """Return what does not hold now that all runs have ended and ``crashes`` processes were lost."""
        found = [*_stranded(), *_messages()]
        for run in Workflow.objects.order_by("pk"):
            steps = list_workflow_steps(run.workflow_id)
            found += _life(run)
            found += _effects(run, steps)
            found += self._executions(run, steps, crashes)
            found += _outcome(run, steps)
            found += _attempts(run)
        return found

    def _executions(self, run: Workflow, steps: list[Any], crashes: int) -> list[str]:
        """L3: plain steps at least once; what is repeated is the step in flight at a crash."""
        found = []
        executions = self.executions(run.workflow_id)
        counts = Counter(one.step for one in executions)
        extra = sum(counts.values()) - len(counts)
        if extra > crashes:
            found.append(f"L3 {run}: {extra} repeated steps, but only {crashes} crashes: {counts}")
        last_of = {one.pid: one for one in executions}
        seen: dict[str, Execution] = {}
        for one in executions:
            before = seen.get(one.step)
            if before is not None and last_of[before.pid] != before:
                found.append(f"L3 {run}: {one.step} was repeated, but was not in flight at the crash")
            seen[one.step] = one
        tokens = {one.token for one in executions}
        for step in steps:
            if step.name in ("plain", "gated") and step.output not in tokens:
                found.append(f"L3 {run}: {step.name} recorded {step.output!r}, which nobody returned")
        return found


def _stranded() -> list[str]:
    """L7: nothing is left over."""
    unfinished = Workflow.objects.exclude(status__in=TERMINAL)
    found = [f"L7 {run} is left {run.status}" for run in unfinished]
    return found + [f"L7 {wait} is still waited for" for wait in Wait.objects.all()]


def _messages() -> list[str]:
    """L11, L13: each message is sent and consumed once, each event published once."""
    found = []
    for message in Message.objects.filter(consumed_at__isnull=True):
        found.append(f"L11 a message on {message.topic!r} was not consumed, or was sent twice")
    received = Step.objects.filter(name="durable.recv").exclude(output="null").count()
    if received != Message.objects.filter(consumed_at__isnull=False).count():
        found.append(f"L11 {received} messages were received, of {Message.objects.count()}")
    events = Counter(EventHistory.objects.values_list("workflow_id", "key"))
    return found + [f"L13 event {key} was published {n} times" for key, n in events.items() if n > 1]


def _life(run: Workflow) -> list[str]:
    """L1, L10: one terminal state, never left; only legal transitions; attempts never fall."""
    found = []
    history = changes(run.pk)
    ends = [one for one in history if one.new_status in TERMINAL and one.old_status != one.new_status]
    if len(ends) != 1 or history[-1] != ends[-1]:
        found.append(f"L1 {run} ended {len(ends)} times: {history}")
    for one in history:
        if one.old_status == one.new_status:
            continue
        if Status(one.new_status) not in TRANSITIONS[Status(one.old_status)]:
            found.append(f"L10 {run} went from {one.old_status} to {one.new_status}")
    if any(one.new_attempt < one.old_attempt for one in history):
        found.append(f"L5 {run}: an attempt fell: {history}")
    return found


def _effects(run: Workflow, steps: list[Any]) -> list[str]:
    """L2: a recorded transaction's effect is there exactly once; no other is there at all."""
    rows = [*Effect.objects.filter(workflow_id=run.workflow_id)]
    rows += Effect.objects.using("other").filter(workflow_id=run.workflow_id)
    done = Counter(row.step.split()[1] for row in rows)
    recorded = Counter(step.output for step in steps if step.name in TRANSACTIONS and step.error is None)
    return [] if done == recorded else [f"L2 {run}: effects {done}, recorded {recorded}"]


def _outcome(run: Workflow, steps: list[Any]) -> list[str]:
    """L4: the outcome is a function of the recorded checkpoints."""
    status = retrieve_workflow(run.workflow_id).get_status()
    if status.status != Status.SUCCESS:
        return [f"L4 {run} ended in {status.status}: {status.error!r}"]
    recorded = [step.output for step in steps if step.name in VALUES]
    if status.output == recorded:
        return []
    return [f"L4 {run} returned {status.output}, but recorded {recorded}"]


def _attempts(run: Workflow) -> list[str]:
    """L5: attempts never fall along a run's steps, and none is above the run's own."""
    attempts = list(Step.objects.filter(workflow=run).order_by("position").values_list("attempt", flat=True))
    # A message's wait records its deadline, at the next position, before the message.
    in_order = attempts if not Message.objects.filter(destination=run).exists() else sorted(attempts)
    if in_order != sorted(in_order) or any(one > run.attempt for one in attempts):
        return [f"L5 {run}: attempts {attempts} under attempt {run.attempt}"]
    return []
