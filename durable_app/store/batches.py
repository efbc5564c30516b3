"""What both databases' writers share: the order of a mixed batch, and the verdict on a refused record."""

from typing import Any

from durable_app.store.records import Checkpoint, NewRun, Outcome, Record, Verdict


def write_mixed(connection: Any, records: list[Record], write_kind: Any) -> list[Any]:
    """Write records of several kinds, a statement a kind; checkpoints before outcomes."""
    answers: list[Any] = [None] * len(records)
    for kind in (NewRun, Checkpoint, Outcome):
        places = [index for index, record in enumerate(records) if isinstance(record, kind)]
        if places:
            found = write_kind(connection, [records[index] for index in places])
            for index, answer in zip(places, found, strict=True):
                answers[index] = answer
    return answers


def judge(record: Checkpoint | Outcome, state: tuple[Any, ...] | None) -> Verdict:
    """Say why a record did not land, from the run's state as it is now."""
    if state is None:
        return Verdict.LOST
    status, attempt, awaited, *step = state
    if isinstance(record, Checkpoint) and step == [record.attempt, record.output, record.error]:
        return Verdict.WRITTEN  # the reply to an earlier commit was lost
    if attempt != record.attempt:
        return Verdict.CANCELLED if status == "CANCELLED" else Verdict.LOST
    if status == "PENDING":
        if isinstance(record, Outcome):
            return Verdict.AWAITED if awaited else Verdict.LOCKED
        return Verdict.TAKEN if step[0] is not None else Verdict.LOCKED
    if isinstance(record, Outcome) and status == record.status:
        return Verdict.WRITTEN
    return Verdict.CANCELLED if status == "CANCELLED" else Verdict.LOST
