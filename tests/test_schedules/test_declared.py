"""Schedules that code declares: checked at once, written by workers, retired when no code has them."""

import logging
from datetime import datetime, timedelta
from typing import Any

import pytest

from durable_app import (
    FIRED_AT,
    ConfiguredInstance,
    ConflictingRegistrationError,
    InvalidOptionError,
    ScheduleExistsError,
    ScheduleInfo,
    WorkflowFunctionNotFoundError,
    apply_schedules,
    clock,
    create_schedule,
    delete_schedule,
    get_schedule,
    list_schedules,
    pause_schedule,
    resume_schedule,
    scheduled,
    step,
    transaction,
    workflow,
)
from durable_app.models import Schedule
from durable_app.registry import registry
from durable_app.store import schedules, versions
from durable_app.worker.worker import Worker
from tests.helpers import wait_until
from tests.racing import raced
from tests.test_schedules.conftest import Fire

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("declared")]

ran: list[Any] = []


@workflow
def punctual(scheduled_at: datetime, context: Any) -> None:
    ran.append((scheduled_at, context))


@workflow
def occasional(scheduled_at: datetime, context: Any) -> None:
    """Never run here."""


@step
def tally(scheduled_at: datetime, context: Any) -> None:
    ran.append(("step", context))


@transaction
def enter(scheduled_at: datetime, context: Any) -> None:
    """Never run here."""


class Bulletins:
    @workflow
    @classmethod
    def write(cls, scheduled_at: datetime, context: Any) -> None:
        ran.append((cls.__name__, context))


def sync() -> None:
    """Do what a worker does when it starts."""
    schedules.declare([one.definition for one in registry.schedules.values()])


def declare(name: str = "n", cron: str = "* * * * *", **given: Any) -> None:
    registry.schedules.pop(name, None)
    scheduled(cron, name=name, **given)(punctual)


def found(name: str = "n") -> ScheduleInfo:
    schedule = get_schedule(name)
    assert schedule is not None
    return schedule


# The decorator


def test_a_declaration_leaves_the_function_as_it_was() -> None:
    """242. It stands above `@workflow`, and only takes a note."""
    assert (
        scheduled("0 3 * * *", timezone="Europe/Berlin", queue="q", context=1, catch_up=3)(punctual)
        is punctual
    )
    definition = registry.schedules["punctual"].definition
    assert (definition.workflow_name, definition.cron, definition.timezone) == (
        "punctual",
        "0 3 * * *",
        "Europe/Berlin",
    )
    assert (definition.queue_name, definition.context) == ("q", "1")
    assert (definition.catch_up, definition.catch_up_limit, definition.overlap) == ("all", 3, "allow")
    assert not Schedule.objects.exists()


def test_whatever_can_be_started_can_be_declared() -> None:
    """238, 242. Steps, transactions, class and static methods, and what other decorators have wrapped."""
    scheduled("0 3 * * *")(tally)
    scheduled("0 3 * * *")(enter)

    class Local:
        @scheduled("0 3 * * *")
        @workflow
        @classmethod
        def of_class(cls, scheduled_at: datetime, context: Any) -> None: ...

        @scheduled("0 3 * * *")
        @workflow
        @staticmethod
        def static(scheduled_at: datetime, context: Any) -> None: ...

        @scheduled("0 3 * * *")
        @step
        @staticmethod
        def static_step(scheduled_at: datetime, context: Any) -> None: ...

    name = f"{test_whatever_can_be_started_can_be_declared.__name__}.<locals>.Local"
    declared = [one.definition for one in registry.schedules.values()]
    assert [(one.name, one.workflow_name, one.class_name) for one in declared] == [
        ("tally", "<temp>.tally", None),
        ("enter", "<temp>.enter", None),
        (f"{name}.of_class", f"{name}.of_class", name),
        (f"{name}.static", f"{name}.static", None),
        (f"{name}.static_step", f"<temp>.{name}.static_step", None),
    ]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"cron": "* * * * 9"}, "'9' is no day of the week"),
        ({"cron": "0 0 31 2 *"}, "never fires"),
        ({"timezone": "Mars/Olympus"}, "no time zone"),
        ({"catch_up": "some"}, "catch_up"),
        ({"overlap": "some"}, "overlap"),
        ({"name": "x" * 201}, "name"),
        ({"queue": "_dbos_internal"}, "reserved"),
        ({"context": object()}, "a schedule's context"),
    ],
)
def test_a_bad_declaration_raises_where_it_stands(given: dict[str, Any], sentence: str) -> None:
    """226, 242. When the module is imported; a ValueError (or, for a value, a TypeError)."""
    with pytest.raises((InvalidOptionError, TypeError), match=sentence):
        scheduled(**{"cron": "0 3 * * *", **given})(punctual)
    assert registry.schedules == {}


def test_what_has_no_instance_or_class_is_refused() -> None:
    """226, 238. Instance methods; a step that needs a class; a function that is not decorated."""
    with pytest.raises(InvalidOptionError, match="instance method"):

        class One(ConfiguredInstance):
            @scheduled("0 3 * * *")
            @workflow
            def method(self, scheduled_at: datetime, context: Any) -> None: ...

    with pytest.raises(InvalidOptionError, match="schedule a workflow that calls it"):

        class Two:
            @scheduled("0 3 * * *")
            @step
            @classmethod
            def method(cls, scheduled_at: datetime, context: Any) -> None: ...

    with pytest.raises(WorkflowFunctionNotFoundError, match="decorate it"):
        scheduled("0 3 * * *")(found)


def test_two_declarations_of_one_name_conflict() -> None:
    """226. Two of one function, or of two modules; a function made anew replaces its former self."""
    scheduled("0 3 * * *")(punctual)
    with pytest.raises(ConflictingRegistrationError, match="Two schedules are named 'punctual'"):
        scheduled("0 4 * * *")(punctual)
    scheduled("0 4 * * *", name="again")(punctual)
    assert list(registry.schedules) == ["punctual", "again"]

    namespace: dict[str, Any] = {"scheduled": scheduled, "workflow": workflow, "__name__": "elsewhere"}
    code = (
        'scheduled("0 5 * * *", name="again")(workflow(name="elsewhere")(lambda scheduled_at, context: None))'
    )
    with pytest.raises(ConflictingRegistrationError, match="elsewhere.py"):
        exec(compile(code, "elsewhere.py", "exec"), namespace)

    def make(cron: str) -> None:
        @scheduled(cron, name="made")
        @workflow(name="made")
        def made(scheduled_at: datetime, context: Any) -> None: ...

    make("0 5 * * *")
    make("0 6 * * *")
    assert registry.schedules["made"].definition.cron == "0 6 * * *"


# Written by workers


def test_a_worker_writes_what_is_declared_and_runs_it() -> None:
    """242. With the tick and the context."""
    ran.clear()
    scheduled("* * * * * *", context="c")(punctual)
    scheduled("* * * * * *", name="s", context=FIRED_AT)(tally)
    scheduled("* * * * * *", name="r")(Bulletins.write)
    with Worker(threads=2):
        wait_until(lambda: len({type(one[0]) for one in ran}) == 2 and len(ran) > 5)
    assert {one.schedule_name for one in list_schedules()} == {"punctual", "s", "r"}
    assert all(one.is_declared for one in list_schedules())
    ticks = [one for one in ran if isinstance(one[0], datetime)]
    assert {context for _, context in ticks} == {"c"}
    assert all(scheduled_at.microsecond == 0 for scheduled_at, _ in ticks)
    assert ("Bulletins", None) in ran
    assert any(one[0] == "step" and isinstance(one[1], datetime) for one in ran)


def test_a_changed_declaration_changes_the_row_and_an_unchanged_one_nothing(fire: Fire) -> None:
    """232. The id and the last tick stay; a tick that is due stays due."""
    declare(context=1)
    sync()
    fire(minutes=1)
    before = found()
    clock.advance(timedelta(minutes=1, seconds=1))
    sync()
    assert (found().next_at, found().schedule_id) == (before.next_at, before.schedule_id)

    declare(cron="0 * * * *", context=2)
    sync()
    after = found()
    assert (after.schedule, after.context, after.schedule_id) == ("0 * * * *", 2, before.schedule_id)
    assert after.last_fired_at == before.last_fired_at
    assert after.next_at is not None
    assert after.next_at > clock.now()


def test_an_operators_pause_outlives_every_start(noon: datetime) -> None:
    """234. Whatever the code says meanwhile."""
    declare()
    sync()
    pause_schedule("n")
    declare(cron="0 * * * *")
    sync()
    assert (found().status, found().next_at, found().schedule) == ("PAUSED", None, "0 * * * *")
    registry.schedules.clear()
    sync()
    declare()
    sync()
    assert found().status == "PAUSED"
    resume_schedule("n")
    assert found().status == "ACTIVE"


def test_what_is_declared_no_more_is_retired_and_comes_back(fire: Fire) -> None:
    """242. It fires no more, and loses nothing; those that no code declared stay."""
    create_schedule(schedule_name="stored", workflow_fn=occasional, schedule="* * * * *")
    declare()
    sync()
    fire(minutes=1)
    before = found()
    registry.schedules.clear()
    sync()
    assert (found().status, found().next_at) == ("RETIRED", None)
    assert [one.split("-")[1] for one in fire(minutes=1)] == ["stored"]

    declare()
    sync()
    after = found()
    assert (after.status, after.schedule_id) == ("ACTIVE", before.schedule_id)
    assert after.last_fired_at == before.last_fired_at
    assert [one.split("-")[1] for one in sorted(fire(minutes=1))] == ["n", "stored"]


def test_a_retired_schedule_that_an_operator_resumes_is_the_operators(noon: datetime) -> None:
    """234. No later start retires it again."""
    declare()
    sync()
    registry.schedules.clear()
    sync()
    resume_schedule("n")
    sync()
    assert (found().status, found().is_declared) == ("ACTIVE", False)


def test_a_retired_schedule_can_be_applied_anew(noon: datetime) -> None:
    """233. That is how one moves from the code into the database."""
    declare()
    sync()
    before = found()
    registry.schedules.clear()
    sync()
    apply_schedules([{"schedule_name": "n", "workflow_fn": occasional, "schedule": "0 3 * * *"}])
    after = found()
    assert (after.status, after.is_declared, after.schedule_id) == ("ACTIVE", False, before.schedule_id)
    sync()
    assert found() == after


def test_a_deleted_declaration_comes_back_with_the_next_worker(noon: datetime) -> None:
    """234. The code is the source; pausing is what lasts."""
    declare()
    sync()
    delete_schedule("n")
    assert get_schedule("n") is None
    sync()
    assert found().is_declared


def test_code_and_database_do_not_change_each_others_schedules(
    noon: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    """226, 233. A declared name cannot be created or applied; a stored one of another workflow stays."""
    declare()
    sync()
    with pytest.raises(ScheduleExistsError, match="exists already"):
        create_schedule(schedule_name="n", workflow_fn=punctual, schedule="0 3 * * *")
    with pytest.raises(ScheduleExistsError, match="is declared in code"):
        apply_schedules([{"schedule_name": "n", "workflow_fn": punctual, "schedule": "0 3 * * *"}])
    apply_schedules([], delete_others=True)
    assert found().schedule == "* * * * *"

    create_schedule(schedule_name="w", workflow_fn=occasional, schedule="0 3 * * *")
    declare("w")
    with caplog.at_level(logging.ERROR, "durable_app"):
        sync()
    assert "schedule=w workflow=occasional" in caplog.text
    assert (found("w").workflow_name, found("w").is_declared) == ("occasional", False)


def test_a_stored_schedule_of_the_same_workflow_is_taken_over(noon: datetime) -> None:
    """233. That is how one moves from the database into the code."""
    create_schedule(schedule_name="n", workflow_fn=punctual, schedule="0 3 * * *")
    before = found()
    declare()
    sync()
    assert (found().schedule, found().is_declared) == ("* * * * *", True)
    assert found().schedule_id == before.schedule_id


def test_workers_that_start_together_agree(noon: datetime) -> None:
    """227. Four at once: one row each, and no error."""
    for n in range(5):
        declare(f"s{n}")
    assert raced(*[sync] * 4) == [None] * 4
    assert [one.schedule_name for one in list_schedules()] == [f"s{n}" for n in range(5)]


def test_older_code_that_starts_again_changes_nothing(settings: Any) -> None:
    """188, 231. With versions, only the latest one's declarations count."""
    declare(cron="0 3 * * *")
    settings.DURABLE = {"APP_VERSION": "1"}
    with Worker(threads=1):
        pass
    settings.DURABLE = {"APP_VERSION": "2"}
    declare(cron="0 4 * * *")
    with Worker(threads=1):
        assert found().schedule == "0 4 * * *"
    settings.DURABLE = {"APP_VERSION": "1"}
    registry.schedules.clear()
    with Worker(threads=1):
        assert (found().schedule, found().status) == ("0 4 * * *", "ACTIVE")
    assert versions.is_latest("2")
