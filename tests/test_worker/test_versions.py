"""APP_VERSION: each run is executed by workers of its own version, and those of none by the latest."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from durable_app import (
    SetEnqueueOptions,
    SetWorkflowID,
    Status,
    application_version,
    cancel_workflow,
    enqueue,
    fork_workflow,
    get_workflow_status,
    move_to_application_version,
    recv,
    resume_workflow,
    rewind_workflow,
    send,
    set_latest_application_version,
    start_workflow,
    step,
    workflow,
)
from durable_app.clock import boot_seconds
from durable_app.models import Worker as WorkerRow
from durable_app.models import Workflow
from durable_app.store import diagnosis, versions
from durable_app.worker.versions import FRESH, CodeVersion
from durable_app.worker.worker import Worker
from tests.helpers import Crash, crash, status, wait_for_status, wait_until
from tests.processes import Program, project_env, write_settings
from tests.shop import releases

pytestmark = pytest.mark.django_db(transaction=True)

Deploy = Callable[[str], None]

executed: list[tuple[str, str]] = []


@pytest.fixture
def deploy(settings: Any) -> Deploy:
    """Return a function that gives this process another version."""

    def as_version(name: str) -> None:
        settings.DURABLE = {"APP_VERSION": name} if name else {}

    return as_version


def unversioned(function: Any) -> str:
    """Start a run that names no version, as a process without one does."""
    with override_settings(DURABLE={}):
        return start_workflow(function).workflow_id


def app_version(workflow_id: str) -> str | None:
    found = get_workflow_status(workflow_id)
    assert found is not None
    return found.app_version


def stays_enqueued(workflow_id: str, worker: Worker) -> bool:
    """Let the worker look at everything, and see what became of the run."""
    worker.claimer.tick()
    assert worker.run_until_idle(30)
    return status(workflow_id) == Status.ENQUEUED


# Which worker takes what


def test_an_enqueue_is_stamped_unless_told_otherwise(deploy: Deploy) -> None:
    """189. With the version of the process that enqueues; children with their worker's."""
    deploy("1")
    stamped = start_workflow(releases.stamped)
    with SetEnqueueOptions(app_version="9"):
        chosen = enqueue("default", releases.stamped)
    deploy("")
    bare = start_workflow(releases.stamped)
    assert [app_version(one.workflow_id) for one in (stamped, chosen, bare)] == ["1", "9", None]


def test_a_worker_runs_its_own_version(deploy: Deploy) -> None:
    """188, 297. Another version's run waits, whether that one is older or newer."""
    deploy("1")
    old = start_workflow(releases.stamped)
    deploy("2")
    new = start_workflow(releases.stamped)
    with Worker(threads=1) as worker:
        assert new.get_result(timeout=60) == ["2", "2"]
        assert stays_enqueued(old.workflow_id, worker)
    deploy("1")
    with Worker(threads=1):
        assert old.get_result(timeout=60) == ["1", "1"]


def test_the_latest_version_runs_what_names_none(deploy: Deploy) -> None:
    """188. And pins it: what it has begun it is to go on with."""
    versions.register("1")
    deploy("2")
    run = unversioned(releases.stamped)
    with Worker(threads=1):
        wait_for_status(run, Status.SUCCESS)
    assert app_version(run) == "2"


def test_a_version_that_is_not_the_latest_leaves_it(deploy: Deploy, monkeypatch: Any) -> None:
    """188. Until an operator makes it the latest: the workers are told, and take it without a restart."""
    monkeypatch.setattr("durable_app.worker.versions.FRESH", 3600.0)
    versions.register("1")
    versions.register("2")
    deploy("1")
    run = unversioned(releases.stamped)
    with Worker(threads=1) as worker:
        assert stays_enqueued(run, worker)
        set_latest_application_version("1")
        wait_for_status(run, Status.SUCCESS)


def test_a_worker_that_is_overtaken_leaves_it(deploy: Deploy) -> None:
    """188, 252. A newer version registers while the worker runs."""
    deploy("1")
    with Worker(threads=1) as worker:
        assert worker.version.takes_unversioned
        versions.register("2")
        worker.claimer.tick()  # a tick that had begun before has ended now
        run = unversioned(releases.stamped)
        assert stays_enqueued(run, worker)


def test_a_worker_looks_by_itself_where_nobody_tells(monkeypatch: Any) -> None:
    """188. On a database without notifications the last look grows old."""
    code = CodeVersion("1")
    code.register()
    versions.register("2")
    found = [code.takes_unversioned]
    monkeypatch.setattr("durable_app.clock.boot_seconds", lambda: boot_seconds() + FRESH + 1)
    found.append(code.takes_unversioned)
    versions.set_latest("1")
    found.append(code.takes_unversioned)
    code.outdate()
    found.append(code.takes_unversioned)
    assert found == [True, False, False, True]


def test_a_worker_without_a_version_never_looks(django_assert_num_queries: Any) -> None:
    """188. Nor does one with a version, as long as its last look is fresh."""
    pinned, bare = CodeVersion("1"), CodeVersion("")
    pinned.register()
    bare.register()
    bare.outdate()
    with django_assert_num_queries(0):
        assert pinned.takes_unversioned
        assert bare.takes_unversioned


def test_a_worker_without_a_version_takes_any_run(deploy: Deploy) -> None:
    """188. No pinning: as if there were no versions, and it registers none."""
    deploy("1")
    pinned = start_workflow(releases.stamped)
    deploy("")
    bare = unversioned(releases.stamped)
    with Worker(threads=1):
        assert pinned.get_result(timeout=60) == ["", ""]
        wait_for_status(bare, Status.SUCCESS)
    assert (app_version(pinned.workflow_id), app_version(bare)) == ("1", None)
    assert versions.all_versions() == []


# What a worker says when it starts


def test_a_worker_warns_if_its_version_is_not_the_latest(deploy: Deploy, caplog: Any) -> None:
    """251. With both versions in the line; the latest says nothing."""
    for name in ("1", "2"):
        deploy(name)
        with Worker(threads=1):
            pass
    assert "not the latest" not in caplog.text
    deploy("1")
    with Worker(threads=1):
        pass
    (line,) = [one.getMessage() for one in caplog.records if "not the latest" in one.getMessage()]
    assert "version=1 latest=2" in line


def test_a_worker_warns_of_runs_that_nobody_takes(deploy: Deploy, caplog: Any) -> None:
    """297. They wait visibly: in the log of whoever starts, and for surfaces to show."""
    deploy("1")
    old = start_workflow(releases.stamped)
    deploy("2")
    with Worker(threads=1):
        pass
    assert "Runs wait for a version that no worker runs version=1 runs=1" in caplog.text
    row = Workflow.objects.get(workflow_id=old.workflow_id)
    assert diagnosis.why_not_taken(row, diagnosis.fleet()) == "No worker is running."


# What has begun stays with its version


@step(name="versions.note")
def note(what: str) -> str:
    executed.append((what, application_version()))
    if what == "dies":
        raise Crash
    return what


@workflow(name="versions.waiting")
def waiting() -> Any:
    return [note("before"), recv(timeout_seconds=600), note("after")]


@workflow(name="versions.dying")
def dying() -> None:
    note("dies")


@pytest.fixture(autouse=True)
def nothing_executed_yet() -> None:
    executed.clear()


def test_a_parked_run_is_woken_for_its_own_version(deploy: Deploy) -> None:
    """188. Also one that named no version until it was first taken."""
    deploy("1")
    with Worker(threads=1):
        run = unversioned(waiting)
        wait_for_status(run, Status.WAITING)
    deploy("2")
    with Worker(threads=1) as worker:
        send(run, "hello")
        wait_for_status(run, Status.ENQUEUED)
        assert stays_enqueued(run, worker)
    deploy("1")
    with Worker(threads=1):
        wait_for_status(run, Status.SUCCESS)
    assert executed == [("before", "1"), ("after", "1")]


def test_a_run_of_another_version_is_recovered_but_not_executed(deploy: Deploy) -> None:
    """79, 188, 297. Any worker takes it back from the dead one; only its own version goes on."""
    deploy("1")
    with SetWorkflowID("run"):
        crash(dying)
    deploy("2")
    with Worker(threads=1) as worker:
        wait_for_status("run", Status.ENQUEUED)
        assert stays_enqueued("run", worker)
    assert executed == [("dies", "1")]
    assert app_version("run") == "1"


def test_forks_rewinds_and_resumed_runs(deploy: Deploy) -> None:
    """118, 124, 107. A fork goes to the version it names, else to the latest; a rewind may change it."""
    deploy("1")
    original = start_workflow(releases.stamped)
    with Worker(threads=1):
        original.get_result(timeout=60)
    cancelled = start_workflow(releases.stamped)
    cancel_workflow(cancelled.workflow_id)
    chosen = fork_workflow(original.workflow_id, 1, application_version="1")
    latest = fork_workflow(original.workflow_id, 1)
    resume_workflow(cancelled.workflow_id)
    deploy("2")
    with Worker(threads=1) as worker:
        assert latest.get_result(timeout=60) == ["2", "2"]
        assert stays_enqueued(chosen.workflow_id, worker)
        assert stays_enqueued(cancelled.workflow_id, worker)
        rewind_workflow(original.workflow_id, application_version="2")
        assert original.get_result(timeout=60) == ["2", "2"]


def test_waiting_runs_may_be_moved_to_another_version(deploy: Deploy) -> None:
    """297. The way out when the old code will never run again."""
    deploy("1")
    old = start_workflow(releases.stamped)
    deploy("2")
    with Worker(threads=1) as worker:
        assert stays_enqueued(old.workflow_id, worker)
        assert move_to_application_version("1", "2") == 1
        assert old.get_result(timeout=60) == ["2", "2"]


# Several processes


def worker_of(manage: Any, folder: Path, version: str) -> Program:
    place = folder / f"release-{version or 'none'}"
    place.mkdir(exist_ok=True)
    write_settings(place, f"DURABLE = {{'APP_VERSION': {version!r}}}" if version else "")
    program: Program = manage("durable_worker", "--threads", "4", env=project_env(place))
    return program.wait_for("is running")


def test_processes_of_two_versions_route_correctly(manage: Any, tmp_path: Path, deploy: Deploy) -> None:
    """188, 189. A hundred runs of two versions and of none, in any order, each where it belongs."""
    wanted = ["1"] * 40 + ["2"] * 40 + [""] * 20
    random.Random(188).shuffle(wanted)
    for name in ("1", "2"):
        versions.register(name)
    handles = []
    for number, version in enumerate(wanted):
        if number == 50:
            worker_of(manage, tmp_path, "1")
            worker_of(manage, tmp_path, "2")
        deploy(version)
        handles.append(start_workflow(releases.stamped))
    results = [handle.get_result(timeout=60) for handle in handles]
    assert results == [[version or "2"] * 2 for version in wanted]


def test_a_killed_version_waits_for_its_own_successor(manage: Any, tmp_path: Path, deploy: Deploy) -> None:
    """79, 188, 297. The other version's worker takes the run back, and leaves it; it is not lost."""
    first = worker_of(manage, tmp_path, "1")
    worker_of(manage, tmp_path, "2")
    deploy("1")
    run = start_workflow(releases.gated, str(tmp_path))
    wait_until((tmp_path / "began").exists)
    first.kill()
    (tmp_path / "open").touch()
    wait_for_status(run.workflow_id, Status.ENQUEUED)
    deploy("2")
    assert start_workflow(releases.stamped).get_result(timeout=60) == ["2", "2"]
    row = Workflow.objects.get(workflow_id=run.workflow_id)
    assert row.status == Status.ENQUEUED
    assert "'1'" in diagnosis.why_not_taken(row, diagnosis.fleet())
    worker_of(manage, tmp_path, "1")
    assert run.get_result(timeout=60) == ["1", "1"]
    assert set(WorkerRow.objects.values_list("app_version", flat=True)) >= {"1", "2"}
