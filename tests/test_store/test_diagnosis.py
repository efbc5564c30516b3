"""Why a ready run is not taken: told from the workers that are alive and the versions they have."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from durable_app import clock, workflow
from durable_app.models import Status, Worker, Workflow
from durable_app.store import diagnosis, versions

pytestmark = pytest.mark.django_db


@workflow(name="diagnosis.known")
def known() -> None:
    """Do nothing."""


def a_worker(app_version: str = "", **changes: Any) -> None:
    now = clock.now()
    Worker.objects.create(
        **{
            "id": str(uuid4()),
            "name": "w",
            "hostname": "h",
            "process_space": "s",
            "pid": 1,
            "pid_started": "1",
            "app_version": app_version,
            "started_at": now,
            "heartbeat_at": now,
            "expires_at": now + timedelta(minutes=1),
            **changes,
        }
    )


def a_run(
    app_version: str | None = None, name: str = "diagnosis.known", status: str = "ENQUEUED"
) -> Workflow:
    now = clock.now()
    return Workflow.objects.create(
        workflow_id=str(uuid4()),
        name=name,
        inputs="{}",
        status=status,
        app_version=app_version,
        created_at=now,
        updated_at=now,
    )


def why(run: Workflow) -> str:
    return diagnosis.why_not_taken(run, diagnosis.fleet())


def test_no_worker() -> None:
    """297. Neither stopped ones nor those whose lease is over nor mere callers count."""
    a_worker(stopped_at=clock.now())
    a_worker(expires_at=clock.now() - timedelta(seconds=1))
    a_worker(kind="caller")
    assert why(a_run()) == "No worker is running."
    a_worker()
    assert why(a_run()) == ""


def test_a_version_that_nobody_runs() -> None:
    """297. The sentence says which one is wanted, and which there are."""
    versions.register("1")
    versions.register("2")
    a_worker("2")
    a_worker("3")
    assert why(a_run("1")) == "Its version is '1', which no running worker has; they have: 2, 3."
    assert why(a_run("2")) == ""
    a_worker("1")
    assert why(a_run("1")) == ""


def test_the_latest_version_has_no_worker() -> None:
    """188, 297. After a roll-back that did not make the older version the latest."""
    versions.register("1")
    versions.register("2")
    a_worker("1")
    found = why(a_run())
    assert "'2'" in found
    assert "they have: 1." in found
    versions.set_latest("1")
    assert why(a_run()) == ""


def test_a_worker_without_a_version_takes_all() -> None:
    """188. Whatever the run says."""
    versions.register("2")
    a_worker("")
    assert [why(a_run(version)) for version in (None, "1", "2")] == ["", "", ""]


def test_an_unknown_name() -> None:
    """90. What this process cannot find may be there elsewhere: the sentence says so much."""
    a_worker()
    assert "'diagnosis.gone'" in why(a_run(name="diagnosis.gone"))


@pytest.mark.parametrize("status", [status for status in Status if status != Status.ENQUEUED])
def test_other_states_have_other_reasons(status: str) -> None:
    """297. Only a ready run can be asked why nobody takes it."""
    assert why(a_run("1", status=status)) == ""


def test_runs_are_counted_by_the_version_they_wait_for() -> None:
    """297. Only those that nobody takes."""
    versions.register("1")
    versions.register("2")
    a_worker("1")
    for version, count in ((None, 1), ("0", 2), ("1", 3), ("2", 4)):
        for _ in range(count):
            a_run(version)
    a_run("0", status="SUCCESS")
    assert diagnosis.stranded() == {None: 1, "0": 2, "2": 4}
