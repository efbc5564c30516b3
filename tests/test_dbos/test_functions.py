"""The decorators: names, methods of every kind, roles, and functions made in functions."""

import functools
import threading
from typing import Any

import pytest

from durable_app import clock
from durable_app.control.alerts import send_due
from durable_app.dbos import DBOS, DBOSConfiguredInstance, DBOSContextSetAuth, SetWorkflowID, alert, error
from durable_app.dbos.process import process
from durable_app.models import Worker
from tests.helpers import Crash, crash, execute_again, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def names(workflow_id: str) -> list[str]:
    return [one["function_name"] for one in DBOS.list_workflow_steps(workflow_id)]


def test_names_default_to_the_qualified_ones(dbos):
    """24, 25. With `<locals>`; a name of one's own is what is recorded."""

    @DBOS.step()
    def step():
        return 1

    @DBOS.step(name="own-step")
    def other():
        return 2

    @DBOS.workflow(name="own-workflow")
    def workflow():
        return step() + other() + DBOS.run_step(None, lambda: 0)

    here = "test_names_default_to_the_qualified_ones.<locals>."
    with SetWorkflowID("w"):
        assert workflow() == 3
    assert names("w") == [f"{here}step", "own-step", f"{here}workflow.<locals>.<lambda>"]
    found = DBOS.get_workflow_status("w")
    assert found is not None and found.name == "own-workflow"
    assert (workflow.__name__, step.__qualname__) == ("workflow", f"{here}step")


def make_class(calls: list[Any]) -> Any:  # noqa: C901  (a class with everything)
    """Return a class, made in a function, with workflows of every kind below either order of decorators."""

    @DBOS.dbos_class("Shop")
    class Local(DBOSConfiguredInstance):
        def __init__(self, config_name):
            super().__init__(config_name)
            self.prefix = config_name[:1]

        @DBOS.workflow()
        def of_instance(self, what):
            return self.step_of_instance(what)

        @DBOS.step()
        def step_of_instance(self, what):
            calls.append(what)
            return f"{self.prefix}:{what}"

        @classmethod
        @DBOS.workflow()
        def of_class(cls, what):
            return cls.step_of_class(what)

        @classmethod
        @DBOS.step()
        def step_of_class(cls, what):
            calls.append(what)
            return f"{cls.__name__}:{what}"

        @DBOS.workflow()
        @classmethod
        def of_class_too(cls, what):
            return cls.step_of_class(what)

        @staticmethod
        @DBOS.workflow()
        def static(what):
            return Local.static_step(what)

        @staticmethod
        @DBOS.step()
        def static_step(what):
            calls.append(what)
            return f":{what}"

        @DBOS.workflow()
        async def of_instance_later(self, what):
            return self.step_of_instance(what)

    return Local


WAYS = {
    "of_instance": ("n:tea", "Shop", "north"),
    "of_class": ("Local:tea", "Shop", None),
    "of_class_too": ("Local:tea", "Shop", None),
    "static": (":tea", None, None),
}


@pytest.mark.parametrize("way", WAYS)
def test_methods(dbos, way):
    """247. Called, started, replayed; the class name is the chosen one; self and cls are not stored."""
    calls: list[Any] = []
    north = make_class(calls)("north")
    method = getattr(north if way == "of_instance" else type(north), way)
    expected, class_name, config_name = WAYS[way]
    with SetWorkflowID("called"):
        assert method("tea") == expected
    assert DBOS.start_workflow(method, "tea").get_result() == expected
    assert len(calls) == 2
    execute_again("called")
    assert DBOS.get_result("called") == expected
    assert len(calls) == 2
    assert DBOS.fork_workflow("called", 1).get_result() == expected
    found = DBOS.get_workflow_status("called")
    assert found is not None
    assert (found.class_name, found.config_name) == (class_name, config_name)
    assert found.input == {"args": ("tea",), "kwargs": {}}


def test_async_methods(dbos):
    """247."""
    north = make_class([])("north")
    assert DBOS.start_workflow(north.of_instance_later, "tea").get_result() == "n:tea"


def test_class_and_instance_names_are_unique(dbos):
    """249."""
    first = make_class([])
    first("north")
    with pytest.raises(error.DBOSException, match="north"):
        first("north")
    with pytest.raises(error.DBOSException, match="Shop"):
        make_class([])


def test_instances_need_a_name(dbos):
    """248."""

    class Plain:
        @DBOS.workflow()
        def run(self):
            return 1

    with pytest.raises(error.DBOSException, match="ConfiguredInstance"):
        Plain().run()


def test_a_run_of_a_function_in_a_function_survives_its_process(dbos):
    """43, 79. Another worker of the process that knows the function goes on after the last step."""
    calls: list[str] = []
    dies = threading.Event()
    dies.set()

    @DBOS.step()
    def step(name):
        calls.append(name)

    @DBOS.workflow()
    def workflow():
        step("first")
        if dies.is_set():
            dies.clear()
            raise Crash
        step("second")
        return "done"

    with SetWorkflowID("w"):
        crash(workflow)
    DBOS.recover_pending_workflows()
    assert DBOS.get_result("w") == "done"
    assert calls == ["first", "second"]
    found = DBOS.get_workflow_status("w")
    assert found is not None and found.recovery_attempts >= 1


def test_recovery_by_hand_returns_the_runs_it_took_back(dbos):
    """81, 82. Those of dead owners; asked again there is nothing left to take."""
    go_on = threading.Event()

    @DBOS.workflow()
    def dies():
        if not go_on.is_set():
            go_on.set()
            raise Crash
        return "done"

    @DBOS.workflow()
    def lives():
        assert go_on.wait(30)
        return "lived"

    living = DBOS.start_workflow(lives)
    dbos_worker_rests()
    with SetWorkflowID("w"), pytest.raises(Crash):
        dies()
    Worker.objects.filter(kind="caller").update(stopped_at=clock.now())
    taken = DBOS.recover_pending_workflows(["local"])
    assert [handle.workflow_id for handle in taken] == ["w"]
    assert DBOS.recover_pending_workflows(["local"]) == []
    assert taken[0].get_result() == "done"
    assert living.get_result() == "lived"


def dbos_worker_rests() -> None:
    """Stop the service that would be quicker than the test."""
    assert process.worker is not None
    process.worker.recovery.stop()
    process.worker.recovery.join(10)


def test_step_options(dbos):
    """49, 51, 52, 55. Retries, their predicate, and what a step may ask of itself."""
    seen: list[Any] = []

    def look():
        status = DBOS.step_status
        assert status is not None
        seen.append((status.step_id, status.current_attempt, status.max_attempts))
        if len(seen) < 3:
            raise ValueError("not yet")
        return DBOS.workflow_id

    @DBOS.step(retries_allowed=True, interval_seconds=0.001, should_retry=lambda error: False)
    def picky():
        raise KeyError("at once")

    @DBOS.workflow()
    def workflow():
        with pytest.raises(KeyError):
            picky()
        return DBOS.run_step({"retries_allowed": True, "interval_seconds": 0.001}, look)

    with SetWorkflowID("w"):
        assert workflow() == "w"
    assert seen == [(2, 0, 3), (2, 1, 3), (2, 2, 3)]
    assert (DBOS.step_status, DBOS.step_id, DBOS.workflow_id) == (None, None, None)


def test_identity(dbos):
    """243, 244, 246. Roles are asked for, kept by children, and shown."""

    @DBOS.workflow()
    def child():
        return DBOS.authenticated_user, DBOS.authenticated_roles

    @DBOS.default_required_roles(["admin", "staff"])
    class Desk:
        @staticmethod
        @DBOS.workflow()
        def work():
            return [DBOS.assumed_role, *child(), *DBOS.start_workflow(child).get_result()]

        @staticmethod
        @DBOS.required_roles([])
        @DBOS.workflow()
        def visit():
            return "welcome"

    with pytest.raises(error.DBOSNotAuthorizedError):
        Desk.work()
    assert Desk.visit() == "welcome"
    with DBOSContextSetAuth("ann", ["staff"]):
        with SetWorkflowID("w"):
            assert list(Desk.work()) == ["staff", "ann", ["staff"], "ann", ["staff"]]
        with DBOSContextSetAuth(None, None), pytest.raises(error.DBOSNotAuthorizedError):
            Desk.work()
    found = DBOS.get_workflow_status("w")
    assert found is not None
    assert (found.authenticated_user, found.authenticated_roles, found.assumed_role) == (
        "ann", ["staff"], "staff",
    )  # fmt: skip
    assert DBOS.authenticated_user is None


def test_set_authentication(dbos):
    """246. From there on, in the block around."""

    @DBOS.workflow()
    def who():
        return DBOS.authenticated_user

    with DBOSContextSetAuth("ann", None):
        DBOS.set_authentication("bob", ["staff"])
        assert who() == "bob"
        assert DBOS.authenticated_roles == ["staff"]
    assert who() is None


def test_wrapped_workflows_start(dbos):
    """27. Another decorator above does no harm."""

    def shouting(func):
        @functools.wraps(func)
        def wrapper(*args):
            return func(*args).upper()

        return wrapper

    @shouting
    @DBOS.workflow()
    def hello(name):
        return f"hello {name}"

    assert hello("you") == "HELLO YOU"
    assert DBOS.start_workflow(hello, "you").get_result() == "hello you"


def test_what_is_not_there_says_so(dbos):
    """290."""
    with pytest.raises(error.DBOSException, match="kafka_consumer"):
        DBOS.kafka_consumer({}, ["topic"])
    assert (DBOS.span, DBOS.tracer, DBOS.shard_key) == (None, None, None)


def test_alerts(settings, caplog):
    """286. One handler, before the launch; the settings say what is an alert; without it they are logged."""
    settings.DURABLE = {"ALERTS": {"HANDLERS": ["durable_app.dbos.alert"], "FAILURES": 1}}
    alerts: list[tuple[str, str]] = []

    @DBOS.alert_handler
    def handler(name, message, metadata):
        alerts.append((name, metadata["workflow_name"]))

    with pytest.raises(error.DBOSException, match="already"):
        DBOS.alert_handler(handler)
    DBOS(config={"name": "test-app"})
    DBOS.launch()
    with pytest.raises(error.DBOSException, match="before"):
        DBOS.alert_handler(handler)

    @DBOS.workflow(name="failing")
    def failing():
        raise ValueError("no tea")

    with pytest.raises(ValueError, match="no tea"):
        failing()
    send_due()  # now, and not when a worker looks the next time
    assert wait_until(lambda: alerts) == [("WorkflowFailure", "failing")]
    DBOS.destroy(destroy_registry=True)
    alert("SlowQueue", "it is slow", {"queue_name": "q"})
    assert "Alert name=SlowQueue message=it is slow" in caplog.text
