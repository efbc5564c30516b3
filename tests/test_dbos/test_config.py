"""`DBOSConfig`: what of it means something in a Django project, and what is said of the rest."""

import logging
import threading
from typing import Any

import pytest

from durable_app import conf
from durable_app.dbos import DBOS, DBOSConfig, SetWorkflowID
from durable_app.dbos.error import DBOSInitializationError
from durable_app.models import Worker, Workflow
from tests.helpers import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

CONFIG: DBOSConfig = {"name": "test-app"}


def launch(**config: Any) -> None:
    DBOS(config={**CONFIG, **config})  # type: ignore[typeddict-item]
    DBOS.launch()


@pytest.mark.parametrize("name", ["ab", "Capitals", "with space", "", None, "x" * 257])
def test_the_name_is_checked(name):
    """A configuration needs a name of the seed's form."""
    with pytest.raises(DBOSInitializationError, match="name"):
        DBOS(config={"name": name})
    with pytest.raises(DBOSInitializationError, match="name"):
        DBOS(config={})


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://postgres@db.example.com/app_dbos_sys",
        "postgresql+psycopg://postgres:secret@127.0.0.1:1/another",
        "sqlite:///another.sqlite",
    ],
)
def test_another_database_is_not_used_and_one_line_says_so(url, caplog):
    """The settings decide; the line does not show the password."""
    DBOS(config={"name": "test-app", "system_database_url": url, "database_url": url})
    lines = [one.getMessage() for one in caplog.records]
    assert lines == ["The configured database is not used, Django's settings decide alias=default"]


def test_the_same_database_needs_no_line(worker_env, caplog):
    """A program that names Django's own database is right."""
    DBOS(config={"name": "test-app", "system_database_url": worker_env["DATABASE_URL"]})
    assert caplog.records == []


def test_keys_without_effect_are_named_once(caplog):
    """What is bought from the seed's makers, or the project's own business, is accepted."""
    caplog.set_level(logging.WARNING)
    DBOS(config={"name": "test-app", "conductor_key": "k", "sharding": True, "run_migrations": True})
    assert [one.getMessage() for one in caplog.records] == [
        "Configuration without effect in a Django project keys=conductor_key,sharding"
    ]


def test_executor_id(monkeypatch):
    """11. The configuration's, else the environment's, else "local"; runs of this process carry it."""
    DBOS(config=CONFIG)
    assert DBOS.executor_id == "local"
    monkeypatch.setenv("DBOS__VMID", "machine-1")
    assert DBOS.executor_id == "machine-1"
    DBOS.destroy()
    launch(executor_id="mine")
    assert DBOS.executor_id == "mine"

    @DBOS.workflow()
    def some(): ...

    with SetWorkflowID("called"):
        some()
    started = DBOS.start_workflow(some)
    started.get_result()
    assert started.get_status().executor_id == "mine"
    assert [one.workflow_id for one in DBOS.list_workflows(executor_id="mine")] == [
        "called",
        started.workflow_id,
    ]
    assert DBOS.list_workflows(executor_id="other") == []
    assert Worker.objects.get(kind="worker").name == "mine"


def test_application_version(monkeypatch):
    """251. The configuration's, else the environment's; else runs are not pinned."""
    launch()
    assert DBOS.application_version == ""
    DBOS.destroy()
    monkeypatch.setenv("DBOS__APPVERSION", "v1")
    launch()
    assert DBOS.application_version == "v1"
    DBOS.destroy()
    launch(application_version="v2")
    assert DBOS.application_version == "v2"
    assert DBOS.get_latest_application_version()["version_name"] == "v2"

    @DBOS.workflow()
    def some(): ...

    handle = DBOS.start_workflow(some)
    handle.get_result()
    assert handle.get_status().app_version == "v2"
    DBOS.destroy()
    assert conf.options().APP_VERSION == ""


def test_max_executor_threads():
    """29. So many sync runs at once, and no more."""
    launch(max_executor_threads=2)
    running: list[int] = []
    go_on = threading.Event()

    @DBOS.step()
    def hold(number):
        running.append(number)
        assert go_on.wait(30)

    @DBOS.workflow()
    def holding(number):
        hold(number)

    handles = [DBOS.start_workflow(holding, number) for number in range(4)]
    wait_until(lambda: len(running) == 2)
    assert Workflow.objects.filter(status="PENDING").count() == 2
    go_on.set()
    for handle in handles:
        handle.get_result()
    assert sorted(running) == [0, 1, 2, 3]
