"""Bad declarations: refused where they stand, by a sentence that names what was given."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from durable_app import (
    ConflictingRegistrationError,
    InvalidOptionError,
    Queue,
    SetEnqueueOptions,
    list_workflows,
    run_step,
    scheduled,
    send_bulk,
    step,
    transaction,
    workflow,
)
from durable_app.registry import registry

Declare = Callable[..., Any]

DECORATORS: dict[str, Declare] = {"workflow": workflow, "step": step, "transaction": transaction}


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the test begin without queues and schedules, and take its own with it."""
    monkeypatch.setattr(registry, "queues", {})
    monkeypatch.setattr(registry, "schedules", {})
    before = set(registry.workflows) | set(registry.steps)
    yield
    assert {one for one in set(registry.workflows) | set(registry.steps) if one.startswith("bad.")} <= before


def plain(*args: Any) -> None:
    """Never run here."""


@workflow(name="declared.ticks")
def ticks(*args: Any) -> None:
    """Never run here."""


@pytest.mark.parametrize("decorator", DECORATORS)
@pytest.mark.parametrize("name", ["", " ", 5, "x" * 256, "a\x00b", "\ud800"])
def test_a_name_is_a_text_that_can_be_stored(decorator: str, name: Any) -> None:
    """24. An empty one is none, too: it does not stand for the default."""
    with pytest.raises(InvalidOptionError, match="a name is a text of 1 to 255 characters"):
        DECORATORS[decorator](name=name)(plain)


@pytest.mark.parametrize("decorator", DECORATORS)
@pytest.mark.parametrize("name", ["durable.sleep", "<temp>.bad.step", "<undo>.bad.run"])
def test_the_engines_names_are_reserved(decorator: str, name: str) -> None:
    """293. By such names the engine knows its own steps and runs in a history."""
    with pytest.raises(InvalidOptionError, match="are the engine's"):
        DECORATORS[decorator](name=name)(plain)


@pytest.mark.django_db
def test_a_step_without_a_decorator_has_no_name_of_the_engines() -> None:
    """55. It would be replayed as what it is not."""

    @workflow(name="declared.takes_a_name")
    def takes_a_name() -> None:
        run_step({"name": "durable.compensate"}, plain)

    with pytest.raises(InvalidOptionError, match="are the engine's"):
        takes_a_name()


@pytest.mark.parametrize(
    ("decorator", "options", "named"),
    [
        ("workflow", {"max_recovery_attempts": -1}, "max_recovery_attempts .* not -1"),
        ("workflow", {"max_recovery_attempts": "x"}, "max_recovery_attempts .* not 'x'"),
        ("workflow", {"max_recovery_attempts": True}, "max_recovery_attempts .* not True"),
        ("workflow", {"serialization_type": "xml"}, "serialization 'xml' is none of"),
        ("workflow", {"validate_args": "yes"}, "validate_args .* not 'yes'"),
        ("step", {"max_attempts": 0}, "max_attempts .* at least 1, not 0"),
        ("step", {"max_attempts": "3"}, "max_attempts .* not '3'"),
        ("step", {"max_attempts": 2.5}, "max_attempts .* not 2.5"),
        ("step", {"interval_seconds": "1"}, "interval_seconds .* not '1'"),
        ("step", {"interval_seconds": float("nan")}, "interval_seconds .* not nan"),
        ("step", {"backoff_rate": "2"}, "backoff_rate .* not '2'"),
        ("step", {"should_retry": 5}, "should_retry .* not 5"),
        ("transaction", {"using": "nowhere"}, "'nowhere' is no alias of DATABASES; there are: default"),
        ("transaction", {"isolation_level": 5}, "isolation_level 5 is none of"),
    ],
)
def test_an_option_out_of_range_is_named(decorator: str, options: Any, named: str) -> None:
    """49, 70, 86. At the decorator, not when the function is called first, weeks later."""
    with pytest.raises(InvalidOptionError, match=named):
        DECORATORS[decorator](name="bad.options", **options)(plain)


def test_an_async_steps_timeout_is_a_number() -> None:
    """56. Positive and finite."""

    async def acts() -> None:
        """Never run here."""

    for bad in ("5", 0, -1, float("inf"), True):
        with pytest.raises(InvalidOptionError, match="timeout_seconds must be positive and finite"):
            step(name="bad.timeout", timeout_seconds=bad)(acts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: scheduled("* * * * *", timezone="", name="bad"), "there is no time zone ''"),
        (lambda: scheduled("* * * * *", timezone="Mars/Base", name="bad"), "time zone 'Mars/Base'"),
        (lambda: scheduled("61 * * * *", name="bad"), "'61' is no minute"),
        (lambda: scheduled("* * * * *", name="")(ticks), "a schedule's name"),
        (lambda: Queue("bad", priority_enabled="no"), "priority_enabled .* not 'no'"),  # type: ignore[arg-type]
        (
            lambda: Queue(
                "bad", limiter={"limit": 5, "period": 9}, partition_limiter={"limit": 6, "period": 9}
            ),
            "partition_limiter .* must not be above limiter",
        ),
        (lambda: SetEnqueueOptions(colour="red"), "has no option 'colour'"),  # type: ignore[call-arg]
        (lambda: send_bulk([{"destination_id": "x"}]), "takes SendMessage objects"),  # type: ignore[list-item]
        (lambda: list_workflows(limit="5"), "limit is a whole number, not '5'"),
    ],
)
def test_the_first_word_of_it_is_refused(call: Callable[[], Any], named: str) -> None:
    """180, 186, 226, 257. What was silent, or an error of another's, is told in a sentence."""
    with pytest.raises(InvalidOptionError, match=named):
        call()


def test_a_partition_may_start_more_in_a_longer_window() -> None:
    """186. Only what could never be reached is a mistake."""
    limits: Any = {"limiter": {"limit": 5, "period": 1}, "partition_limiter": {"limit": 60, "period": 60}}
    assert Queue("long window", **limits).name == "long window"


@pytest.mark.parametrize("first", ["queue", "schedule"])
def test_a_tick_has_no_partition_key(first: str) -> None:
    """185, 226. Its runs would stand in the queue for ever; both places are named."""
    declare: list[Callable[[], Any]] = [
        lambda: Queue("parted line", partition_queue=True),
        lambda: scheduled("* * * * *", name="into the parted line", queue="parted line")(ticks),
    ]
    if first == "schedule":
        declare.reverse()
    declare[0]()
    with pytest.raises(ConflictingRegistrationError, match="a tick has no partition key") as caught:
        declare[1]()
    assert str(caught.value).count(__file__) == 2
