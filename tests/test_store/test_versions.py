"""Versions of the code: registered once, the latest told by a time that only grows."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from durable_app import NonExistentVersionError, clock
from durable_app.models import AppVersion, Status, Workflow
from durable_app.store import claims, versions
from durable_app.store.claims import Claimer
from tests.helpers import in_thread

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def frozen_clock() -> Any:
    clock.freeze()
    yield
    clock.release()


def names() -> list[str]:
    return [one.version_name for one in versions.all_versions()]


def make_runs(app_version: str | None, **statuses: int) -> None:
    now = clock.now()
    for status, count in statuses.items():
        Workflow.objects.bulk_create(
            Workflow(
                workflow_id=str(uuid4()),
                name="versioned",
                inputs="{}",
                status=status,
                queue_name="default",
                app_version=app_version,
                created_at=now,
                updated_at=now,
            )
            for _ in range(count)
        )


def counts() -> dict[tuple[str | None, str], int]:
    found: dict[tuple[str | None, str], int] = {}
    for key in Workflow.objects.values_list("app_version", "status"):
        found[key] = found.get(key, 0) + 1
    return found


def test_a_version_is_registered_once() -> None:
    """251, 252. Its first start makes it the latest; a later one changes nothing."""
    assert versions.register("1")
    assert versions.register("2")
    before = versions.all_versions()
    assert not versions.register("1")
    assert versions.all_versions() == before
    assert names() == ["2", "1"]
    latest = versions.latest()
    assert latest is not None
    assert latest.version_name == "2"
    assert latest.created_at == latest.latest_at


def test_making_a_version_the_latest_moves_only_its_time() -> None:
    """252. When it was created stays."""
    versions.register("1")
    versions.register("2")
    first = AppVersion.objects.get(name="1")
    versions.set_latest("1")
    assert names() == ["1", "2"]
    moved = AppVersion.objects.get(name="1")
    assert (moved.pk, moved.created_at) == (first.pk, first.created_at)
    assert moved.latest_at > first.latest_at
    assert versions.is_latest("1")
    assert not versions.is_latest("2")


def test_an_unknown_version_cannot_be_the_latest() -> None:
    """252. The error names it, and nothing changes."""
    assert versions.latest() is None
    assert not versions.is_latest("1")
    versions.register("1")
    with pytest.raises(NonExistentVersionError, match="'2'") as caught:
        versions.set_latest("2")
    assert caught.value.version_name == "2"
    assert names() == ["1"]


@pytest.mark.usefixtures("frozen_clock")
def test_a_clock_that_stands_or_goes_back_does_not_matter() -> None:
    """252. Whoever says so last is the latest, whatever time its host has."""
    versions.register("1")
    versions.register("2")
    assert names() == ["2", "1"]
    clock.advance(timedelta(hours=-1))
    versions.set_latest("1")
    assert names() == ["1", "2"]
    versions.register("3")
    assert names() == ["3", "1", "2"]


def test_one_version_is_registered_by_many_workers_at_once() -> None:
    """251. One row; each of them is told that it is the latest."""
    futures = [in_thread(versions.register, "1") for _ in range(8)]
    assert [future.result(60) for future in futures] == [True] * 8
    assert AppVersion.objects.count() == 1


def test_making_several_versions_the_latest_at_once() -> None:
    """252. No two of them share the time that decides."""
    for number in range(4):
        versions.register(str(number))
    for future in [in_thread(versions.set_latest, str(number % 4)) for number in range(16)]:
        future.result(60)
    times = list(AppVersion.objects.values_list("latest_at", flat=True))
    assert len(set(times)) == 4
    assert [versions.is_latest(name) for name in names()] == [True, False, False, False]


def test_moving_the_waiting_runs_of_a_version() -> None:
    """297. Those that nobody executes now; running and finished ones, and other versions', keep theirs."""
    make_runs("1", ENQUEUED=1, DELAYED=2, WAITING=3, PENDING=4, SUCCESS=5, ERROR=1, CANCELLED=1)
    make_runs("2", ENQUEUED=1)
    make_runs(None, ENQUEUED=1)
    assert versions.reassign("1", "3") == 6
    assert counts() == {
        ("3", "ENQUEUED"): 1,
        ("3", "DELAYED"): 2,
        ("3", "WAITING"): 3,
        ("1", "PENDING"): 4,
        ("1", "SUCCESS"): 5,
        ("1", "ERROR"): 1,
        ("1", "CANCELLED"): 1,
        ("2", "ENQUEUED"): 1,
        (None, "ENQUEUED"): 1,
    }
    assert versions.reassign("3", None) == 6
    assert counts()[None, "DELAYED"] == 2


def test_moving_races_with_claiming() -> None:
    """178, 188. A run is either taken by the old version and keeps it, or is the new one's: never both."""
    make_runs("old", ENQUEUED=200)

    def claim_all(version: str) -> list[int]:
        claimer = Claimer(worker_id=f"worker {version}", app_version=version, takes_unversioned=False)
        taken: list[int] = []
        while Workflow.objects.filter(status=Status.ENQUEUED).exists():
            taken += [one.run for one in claims.claim(claimer, ["versioned"], 3)]
        return taken

    claiming = [in_thread(claim_all, version) for version in ("old", "old", "new", "new")]
    moved = in_thread(versions.reassign, "old", "new").result(60)
    taken = [future.result(60) for future in claiming]

    assert sorted(run for one in taken for run in one) == sorted(
        Workflow.objects.values_list("pk", flat=True)
    )
    by_new = set(taken[2] + taken[3])
    assert len(by_new) == moved
    assert set(Workflow.objects.filter(app_version="new").values_list("pk", flat=True)) == by_new


def test_a_claim_pins_a_run_that_names_no_version() -> None:
    """178. Its history is the work of that version, which is to go on with it."""
    make_runs(None, ENQUEUED=1)
    runs = [claims.claim(Claimer(worker_id="w", app_version="1"), ["versioned"], 1)]
    assert [len(found) for found in runs] == [1]
    assert counts() == {("1", "PENDING"): 1}


def test_a_claim_without_a_version_changes_none() -> None:
    """188. A worker that pins nothing takes any run, and leaves what it says."""
    make_runs(None, ENQUEUED=1)
    make_runs("1", ENQUEUED=1)
    assert len(claims.claim(Claimer(worker_id="w"), ["versioned"], 5)) == 2
    assert counts() == {(None, "PENDING"): 1, ("1", "PENDING"): 1}


@pytest.mark.parametrize("takes_unversioned", [True, False])
def test_only_the_latest_version_takes_runs_that_name_none(takes_unversioned: bool) -> None:
    """188. Its own it takes in any case; another version's never."""
    for version in (None, "1", "2"):
        make_runs(version, ENQUEUED=2)
    claimer = Claimer(worker_id="w", app_version="1", takes_unversioned=takes_unversioned)
    found = claims.claim(claimer, ["versioned"], 10)
    assert len(found) == (4 if takes_unversioned else 2)
    assert counts()["2", "ENQUEUED"] == 2
