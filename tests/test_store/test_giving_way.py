"""Who writes often leaves room for others, where only one can write at a time."""

import time
from types import SimpleNamespace

import pytest
from django.db import connection, transaction

from durable_app.control import bulk
from durable_app.control.actors import Actor
from durable_app.control.operator import Operator
from durable_app.models import Status
from durable_app.store import giving_way
from tests.test_admin.pages import made
from tests.test_commands.keyboard import durable


@pytest.fixture
def rests(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return how long each rest was meant to be."""
    found: list[float] = []
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=found.append)
    monkeypatch.setattr(giving_way, "time", clock)  # others sleep, too, in threads of their own
    return found


@pytest.mark.django_db(transaction=True)
def test_each_run_of_a_bulk_operation_is_followed_by_a_rest(rests: list[float]) -> None:
    """31. As long as the run took, but not for long; on PostgreSQL, whose locks are fair, nobody rests."""
    ids = [made(Status.SUCCESS, name="resting").workflow_id for _ in range(6)]
    number = bulk.begin(Operator(actor=Actor.at_terminal("me")), "delete", {"workflow_ids": ids[:3]})
    assert not bulk.carry_out(number)
    assert durable("run", "delete", *ids[3:]).code == 0
    assert len(rests) == (6 if connection.vendor == "sqlite" else 0)
    assert all(0 < one <= giving_way.LONGEST for one in rests)


@pytest.mark.django_db
def test_nobody_rests_in_a_transaction_of_somebody_elses(rests: list[float]) -> None:
    """31. It would keep the lock for longer."""
    with transaction.atomic(), giving_way.giving_way():
        pass
    assert rests == []
