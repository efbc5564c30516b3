"""What both databases' writers share: the order of a mixed batch, and the verdict on a refused record."""

from typing import Any

from durable_app.store.records import Checkpoint, Entry, NewRun, Outcome, Record, Verdict

ENTERED = "null"
"""Output of the step that a write to a stream is."""


def write_mixed(connection: Any, records: list[Record], write_kind: Any) -> list[Any]:
    """Write records of several kinds, a statement a kind; outcomes last."""
    answers: list[Any] = [None] * len(records)
    for kind in (NewRun, Checkpoint, Entry, Outcome):
        places = [index for index, record in enumerate(records) if isinstance(record, kind)]
        if places:
            found = write_kind(connection, [records[index] for index in places])
            for index, answer in zip(places, found, strict=True):
                answers[index] = answer
    return answers


def judge(record: Checkpoint | Entry | Outcome, state: tuple[Any, ...] | None) -> Verdict:
    """Say why a record did not land, from the run's state as it is now."""
    if state is None:
        return Verdict.LOST
    status, attempt, awaited, *step = state
    if step == _own_step(record):
        return Verdict.WRITTEN  # the reply to an earlier commit was lost
    if attempt != record.attempt:
        return Verdict.CANCELLED if status == "CANCELLED" else Verdict.LOST
    if status == "PENDING":
        if step[0] is not None:
            return Verdict.TAKEN
        return Verdict.AWAITED if awaited and _needs_quiet(record) else Verdict.LOCKED
    if isinstance(record, Outcome) and status == record.status:
        return Verdict.WRITTEN
    return Verdict.CANCELLED if status == "CANCELLED" else Verdict.LOST


def step_of(record: Checkpoint | Entry | Outcome) -> tuple[int, str]:
    """Return where the step is that a record makes; no step is there if it makes none."""
    if isinstance(record, Outcome) or (isinstance(record, Entry) and record.step is None):
        return 0, ""
    return record.position


def _own_step(record: Checkpoint | Entry | Outcome) -> list[Any] | None:
    match record:
        case Checkpoint():
            return [record.attempt, record.output, record.error]
        case Entry(step=str()):
            return [record.attempt, ENTERED, None]
        case _:
            return None


def _needs_quiet(record: Checkpoint | Entry | Outcome) -> bool:
    """Return whether a record may only land by itself while no parked run waits for its run."""
    return isinstance(record, Outcome) or (isinstance(record, Entry) and not record.heeds)
