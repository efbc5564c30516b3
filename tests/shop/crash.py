"""Workflows that leave traces outside of the engine, for the tests that kill their workers.

A plain step appends a line to a file, a transaction inserts a row: nothing in either is unique, so that
a repetition shows. Every step returns a fresh token: a lost or doubled outcome shows, too.
"""

import os
import time
from pathlib import Path
from uuid import uuid4

from durable_app import (
    patch,
    recv,
    send,
    set_event,
    sleep,
    start_workflow,
    step,
    transaction,
    workflow,
    workflow_id,
)
from tests.shop.models import Effect


def note(ledger: str, name: str) -> str:
    """Append one line about an execution to the ledger, and return its token."""
    token = uuid4().hex
    line = f"{workflow_id()} {name} {os.getpid()} {token}\n"
    file = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)
    return token


def wait_for_file(path: str) -> None:
    """Block until a file exists; a test opens such a gate when its moment has come."""
    give_up_at = time.monotonic() + 60
    while not Path(path).exists():
        if time.monotonic() > give_up_at:
            raise TimeoutError(path)
        time.sleep(0.01)


@step
def plain(ledger: str, name: str) -> str:
    return note(ledger, name)


@step
def gated(ledger: str, name: str) -> str:
    """Leave a trace, then block until the gate of this process is open."""
    token = note(ledger, name)
    wait_for_file(f"{ledger}.{name}.{os.getpid()}")
    return token


@step
def explode(ledger: str) -> None:
    """Take the whole process down, as a segmentation fault would."""
    note(ledger, "explode")
    os._exit(139)


@transaction
def charge(name: str) -> str:
    token = uuid4().hex
    Effect.objects.create(workflow_id=workflow_id() or "", step=f"{name} {token}")
    return token


@transaction(using="other")
def ship(name: str) -> str:
    token = uuid4().hex
    Effect.objects.using("other").create(workflow_id=workflow_id() or "", step=f"{name} {token}")
    return token


@workflow
def tour(ledger: str) -> list[object]:
    """Do everything that the engine records, once."""
    first = plain(ledger, "first")
    paid = charge("paid")
    set_event("progress", first)
    sleep(0.3)
    greeting = recv("greetings", timeout_seconds=3600)
    child = start_workflow(side_trip, ledger)
    send(child.workflow_id, paid, topic="baggage")
    shipped = ship("shipped")
    last = plain(ledger, "last")
    return [first, paid, greeting, shipped, last, child.get_result()]


@workflow
def side_trip(ledger: str) -> list[object]:
    """Wait for what the tour sends, and leave a trace."""
    baggage = recv("baggage", timeout_seconds=3600)
    return [baggage, plain(ledger, "side")]


@workflow
def short_trip(ledger: str) -> list[str]:
    return [plain(ledger, "first"), charge("paid"), plain(ledger, "last")]


@workflow
def patched_trip(ledger: str) -> list[str]:
    """Take the new way, once the marker that says so is recorded."""
    return [plain(ledger, "first"), plain(ledger, "new" if patch("way") else "old"), plain(ledger, "last")]


@workflow
def gated_trip(ledger: str) -> list[str]:
    """Block in the first and in the last step, each until its process's gate is open."""
    return [gated(ledger, "first"), charge("paid"), gated(ledger, "last")]


@workflow
def held_payment(ledger: str) -> list[str]:
    """Block inside a transaction, until its process's gate is open."""
    return [plain(ledger, "first"), charge_gated(ledger, "paid"), plain(ledger, "last")]


@transaction
def charge_gated(ledger: str, name: str) -> str:
    token = note(ledger, name)
    Effect.objects.create(workflow_id=workflow_id() or "", step=f"{name} {token}")
    wait_for_file(f"{ledger}.{name}.{os.getpid()}")
    return token


@workflow(max_recovery_attempts=1)
def poisonous(ledger: str) -> None:
    explode(ledger)


@transaction(using="other")
def ship_gated(ledger: str, name: str) -> str:
    token = note(ledger, name)
    Effect.objects.using("other").create(workflow_id=workflow_id() or "", step=f"{name} {token}")
    wait_for_file(f"{ledger}.{name}.{os.getpid()}")
    return token


@workflow
def held_shipping(ledger: str) -> list[str]:
    """Block inside a transaction of the other database, until its process's gate is open."""
    return [ship_gated(ledger, "shipped"), plain(ledger, "last")]
