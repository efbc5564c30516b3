"""Exceptions are stored whatever they are, and never fail to be read again."""

import logging
import threading
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from durable_app import DurableError, MaxStepRetriesExceeded, SetWorkflowID, WorkflowError, step, workflow
from durable_app.models import Workflow
from durable_app.serialization import decode_error, encode_error
from tests.shop.models import Order


class NeedsThree(Exception):
    def __init__(self, first: int, second: str, *, third: float) -> None:
        super().__init__(f"{first} {second}")
        self.first, self.second, self.third = first, second, third


class NoArguments(ValueError):
    def __init__(self) -> None:
        super().__init__("always the same")


class OddNew(Exception):
    def __new__(cls, a: int, b: int) -> "OddNew":
        return super().__new__(cls)

    def __init__(self, a: int, b: int) -> None:
        super().__init__("only one")


class RaisingNew(Exception):
    armed = False

    def __new__(cls, *args: Any) -> "RaisingNew":
        if cls.armed:
            raise RuntimeError("no more of me")
        return super().__new__(cls, *args)


class BrokenStr(Exception):
    def __str__(self) -> str:
        raise RuntimeError("broken __str__")


class BrokenArgs(Exception):
    @property
    def args(self) -> Any:  # type: ignore[override]
        raise RuntimeError("broken args")


class WithoutDict(Exception):
    __slots__ = ("code",)

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code

    def __str__(self) -> str:
        return f"code {self.code}"


class Selfish(Exception):
    def __init__(self) -> None:
        super().__init__("me")
        self.me = self
        self.mine = [self]


def missing_file() -> Exception:
    try:
        open("/nowhere/at/all")  # noqa: SIM115
    except OSError as error:
        return error
    raise AssertionError("the file exists")


def undecodable() -> Exception:
    try:
        b"\xff".decode()
    except UnicodeDecodeError as error:
        return error
    raise AssertionError("it decodes")


def noted() -> Exception:
    error = ValueError("with a note")
    error.add_note("the note")
    return error


def chained() -> Exception:
    try:
        try:
            raise KeyError("inner")
        except KeyError as inner:
            raise ValueError("outer") from inner
    except ValueError as outer:
        return outer


REBUILT: dict[str, Exception] = {
    "built in": ValueError("plain", 1, ("two",)),
    "key error": KeyError("missing"),
    "no arguments": RuntimeError(),
    "missing file": missing_file(),
    "odd constructor": NeedsThree(1, "b", third=0.5),
    "constructor without arguments": NoArguments(),
    "django's validation error": ValidationError("bad %(what)s", code="odd", params={"what": "luck"}),
    "several validation errors": ValidationError({"name": ["too long", "too short"]}),
    "nested class": Order.DoesNotExist("no such order"),
    "group": ExceptionGroup("several", [ValueError(1), KeyError("k")]),
    "noted": noted(),
    "chained": chained(),
    "undecodable": undecodable(),
    "nul and surrogate": ValueError("a\x00b\ud800"),
    "of the engine": MaxStepRetriesExceeded("pay", [ValueError("one"), NeedsThree(1, "b", third=0.5)]),
    "a database's": DurableError("x"),
}


@pytest.mark.parametrize("name", REBUILT)
def test_an_exception_comes_back_with_its_type_and_text(name: str) -> None:
    """4. 44. Same type, same str, same arguments, same attributes; no constructor runs."""
    error = REBUILT[name]
    found = decode_error(encode_error(error))
    assert type(found) is type(error)
    if name != "nul and surrogate":  # no database stores a lone surrogate: it is spelled out
        assert str(found) == str(error)
    if name not in ("group", "of the engine"):
        assert found.args == error.args


def test_attributes_come_back_as_far_as_they_can_be_stored() -> None:
    """44. What cannot be stored is left out, the rest is there."""
    error = NeedsThree(1, "b", third=0.5)
    error.lock = threading.Lock()  # type: ignore[attr-defined]
    found = decode_error(encode_error(error))
    assert isinstance(found, NeedsThree)
    assert (found.first, found.second, found.third) == (1, "b", 0.5)
    assert not hasattr(found, "lock")


def test_exhausted_retries_come_back_with_every_tries_error() -> None:
    """50. ``errors`` has one entry a try, of its type."""
    error = MaxStepRetriesExceeded("pay", [ValueError("one"), NeedsThree(1, "b", third=0.5)])
    found = decode_error(encode_error(error))
    assert isinstance(found, MaxStepRetriesExceeded)
    assert [(type(one), str(one)) for one in found.errors] == [(ValueError, "one"), (NeedsThree, "1 b")]


def test_a_missing_file_is_still_a_missing_file() -> None:
    """4. 44. errno and filename are not lost."""
    found = decode_error(encode_error(missing_file()))
    assert isinstance(found, FileNotFoundError)
    assert (found.errno, found.filename) == (2, "/nowhere/at/all")


def local_class() -> Exception:
    class Local(Exception):
        pass

    return Local("nobody finds me")


REPLACED: dict[str, tuple[Exception, str]] = {
    "local class": (local_class(), "local_class.<locals>.Local: nobody finds me"),
    "unstorable argument": (ValueError("held by", threading.Lock()), "builtins.ValueError: .*held by"),
    "huge integer": (ValueError(10**5000), "builtins.ValueError: "),
    "odd __new__": (OddNew(1, 2), r"tests\.test_recorded_errors\.OddNew: only one"),
    "broken args": (BrokenArgs("x"), "BrokenArgs"),
}


@pytest.mark.parametrize("name", REPLACED)
def test_an_exception_that_cannot_be_rebuilt_becomes_a_workflow_error(name: str) -> None:
    """14. "Type: str" is what is left, with the traceback."""
    error, text = REPLACED[name]
    found = decode_error(encode_error(error))
    assert isinstance(found, WorkflowError)
    pytest.raises(WorkflowError, _raise, found).match(text)
    assert found.type_name.endswith(type(error).__qualname__)


def _raise(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("error", [Selfish(), WithoutDict(3)], ids=repr)
def test_odd_exceptions_are_encoded_and_decoded_without_harm(error: Exception) -> None:
    """14. References to itself, slots instead of a dict."""
    found = decode_error(encode_error(error))
    assert isinstance(found, type(error) | WorkflowError)
    assert str(error) in str(found)


def test_a_broken_str_is_survived() -> None:
    """14. It is broken in the next process as in the first; the type is kept."""
    found = decode_error(encode_error(BrokenStr("x")))
    assert (type(found), found.args) == (BrokenStr, ("x",))


def test_rebuilding_never_raises() -> None:
    """14. A class that refuses to be made again is replaced."""
    text = encode_error(RaisingNew("x"))
    RaisingNew.armed = True
    try:
        assert type(decode_error(text)) is WorkflowError
    finally:
        RaisingNew.armed = False


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "5",
        "[" * 200_000,
        '{"type": 1, "message": 2, "args": 3, "state": 4}',
        '{"type": "builtins.ValueError", "message": "x", "args": 3}',
        '{"type": "builtins.ValueError", "message": "x", "args": ["x"], "state": [1]}',
        '{"type": "builtins.SystemExit", "message": "0", "args": [0], "state": {}}',
        '{"type": "builtins.eval", "message": "1", "args": ["1"], "state": {}}',
        '{"type": "os.system", "message": "1", "args": ["true"], "state": {}}',
        '{"type": "antigravity.Anti", "message": "1", "args": [], "state": {}}',
        '{"type": "threading.threading.sys.modules", "message": "1", "args": [], "state": {}}',
        '{"type": "", "message": "1", "args": []}',
        '{"type": "....", "message": "1", "args": []}',
        '{"type": "builtins.ValueError", "message": "x", "args": [{"$t": "os.system", "v": 1}]}',
    ],
    ids=lambda text: text[:60],
)
def test_hostile_error_text_runs_no_code(text: str) -> None:
    """14. Whatever is stored, an Exception comes of it, and of a class that is one."""
    assert type(decode_error(text)) is WorkflowError


@step
def fail(name: str) -> None:
    raise FAILURES[name]


@workflow
def fail_with(name: str, in_step: bool) -> None:
    if in_step:
        fail(name)
    raise FAILURES[name]


FAILURES = {
    **REBUILT,
    **{name: error for name, (error, _) in REPLACED.items()},
    "selfish": Selfish(),
    "broken __str__": BrokenStr("x"),
}


@pytest.mark.django_db
@pytest.mark.parametrize("in_step", [True, False], ids=["in a step", "in the workflow"])
@pytest.mark.parametrize("name", FAILURES)
def test_whatever_was_raised_the_run_becomes_error(
    name: str, in_step: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """14. The caller sees what was raised; the row is ERROR; the next caller sees its record."""
    caplog.set_level(logging.CRITICAL, "durable_app")  # pytest-xdist cannot carry a lone surrogate in a log
    raised = FAILURES[name]
    with SetWorkflowID("failed"), pytest.raises(type(raised)) as first:
        fail_with(name, in_step)
    assert first.value is raised
    assert Workflow.objects.get().status == "ERROR"
    with SetWorkflowID("failed"), pytest.raises((type(raised), WorkflowError)):
        fail_with(name, in_step)
