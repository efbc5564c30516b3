"""What is stored comes back as it was: from memory, through a step, as the inputs of a worker's run."""

import math
import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any
from uuid import UUID

import pydantic
import pytest
from django.db import connection

from durable_app import (
    SerializationError,
    SetWorkflowID,
    fork_workflow,
    list_workflow_steps,
    serializable,
    start_workflow,
    step,
    workflow,
)
from durable_app.serialization import MAX_DEPTH, decode, decode_or_text, encode
from durable_app.worker.worker import Worker
from tests.shop.models import Order


@serializable
class Colour(Enum):
    RED = "r"
    GREEN = object()  # its value could never be stored: members go by name


@serializable
class Level(IntEnum):
    LOW = 1
    HIGH = 2


@serializable
@dataclass(frozen=True)
class Line:
    name: str
    price: Decimal
    tags: frozenset[str] = frozenset()
    total: Decimal = field(init=False, default=Decimal("1.5"))


def nested(depth: int) -> Any:
    value: Any = "bottom"
    for _ in range(depth):
        value = [value]
    return value


VALUES: dict[str, Any] = {
    "none": None,
    "truths": [True, False, 0, 1],
    "empty": ["", [], {}, (), set(), frozenset(), b""],
    "nul": "before\x00after",
    "lone surrogate": "a\ud800b",
    "astral": "\U0001f600 e\u0301 \u2028 </script>",
    "surrogate and nul in a key": {"\udfff": 1, "a\x00": 2},
    "floats": [0.0, -0.0, 1e308, 5e-324, 0.1 + 0.2, -1.0],
    "big integers": [2**63, -(2**200), 10**4000],
    "decimals": [Decimal("1.10"), Decimal("-0"), Decimal("1E+20"), Decimal("NaN"), Decimal("Infinity")],
    "datetimes": [
        datetime(2024, 2, 29, 23, 59, 59, 999999, UTC),
        datetime(2024, 1, 1, 12, 0),  # noqa: DTZ001  (naive ones are values, too)
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
    ],
    "dates": [date.min, date.max],
    "times": [time(0, 0, 0, 1), time(23, 59, tzinfo=UTC)],
    "timedeltas": [timedelta.min, timedelta.max, timedelta(microseconds=-1)],
    "uuid": UUID("12345678-1234-5678-1234-567812345678"),
    "bytes": bytes(range(256)),
    "tuples": ((1, (2, [3])), ()),
    "sets": {"of": {1, "a", (1, 2)}, "frozen": frozenset({frozenset({1})})},
    "user keys with dollars": {"$t": "decimal", "v": "1", "$": 1, "$$t": {"$t": {"$v": [{"$t": 1}]}}},
    "order of keys": {"z": 1, "a": 2, "m": 3},
    "enum": [Colour.RED, Colour.GREEN],
    "int enum": Level.HIGH,
    "dataclass": Line("tea", Decimal("2.50"), frozenset({"hot"})),
    "deep": nested(MAX_DEPTH),
}


def same(found: Any, expected: Any) -> bool:
    """Compare with types, signs of zero and NaN, order of keys."""
    if type(found) is not type(expected):
        return False
    if isinstance(expected, dict):
        return list(found) == list(expected) and all(same(found[key], expected[key]) for key in expected)
    if isinstance(expected, list | tuple):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, float | Decimal):
        return str(found) == str(expected)
    return bool(found == expected)


executed: list[str] = []


@pytest.fixture(autouse=True)
def nothing_executed() -> None:
    executed.clear()


@step
def give(name: str) -> Any:
    executed.append(name)
    return VALUES[name]


@workflow
def pass_value_on(name: str) -> Any:
    return give(name)


@step
def give_all(seed: int) -> Any:
    executed.append("all")
    return random_values(seed)


@workflow
def pass_values_on(seed: int) -> Any:
    return give_all(seed)


def inputs(seed: int) -> dict[str, Any]:
    """All values but the deepest, which has no room for the levels around it."""
    return {**VALUES, "deep": nested(MAX_DEPTH - 5), "random": random_values(seed)}


@workflow
def check_received(given: dict[str, Any], *, seed: int) -> list[str]:
    expected = inputs(seed)
    return [name for name in expected if not same(given.get(name), expected[name])]


@pytest.mark.django_db
@pytest.mark.parametrize("name", VALUES)
def test_a_value_comes_back_from_its_step_and_its_run_as_it_was(name: str) -> None:
    """43. 271. First execution and replay see the same value, of the same type."""
    with SetWorkflowID("round-trip"):
        first = pass_value_on(name)
    with SetWorkflowID("round-trip"):
        again = pass_value_on(name)

    assert same(first, VALUES[name])
    assert same(again, VALUES[name])
    assert same(list_workflow_steps("round-trip")[0].output, VALUES[name])
    assert executed == [name]


@pytest.mark.django_db(transaction=True)
def test_values_survive_the_way_to_a_worker_and_a_replay() -> None:
    """43. 271. Inputs reach a worker, and recorded outputs a fork, as they were."""
    seed = random.randrange(10**6)
    handle = start_workflow(check_received, inputs(seed), seed=seed)
    with SetWorkflowID("original"):
        pass_values_on(seed)
    fork = fork_workflow("original", 2)
    with Worker(threads=1):
        assert handle.get_result(timeout=60) == []
        assert same(fork.get_result(timeout=60), random_values(seed))
    assert executed == ["all"]


CHARACTERS = [*map(chr, (0, 9, 34, 36, 92, 0x7F, 0xE9, 0xD800, 0xFFFF, 0x1F600))]
LEAVES = [
    lambda r: None,
    lambda r: r.random() < 0.5,
    lambda r: r.randrange(-(10 ** r.randrange(1, 60)), 10 ** r.randrange(1, 60)),
    lambda r: math.ldexp(r.uniform(-1, 1), r.randrange(-1000, 1000)),
    lambda r: "".join(r.choice(CHARACTERS) for _ in range(r.randrange(5))),
    lambda r: r.randbytes(r.randrange(9)),
    lambda r: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=r.randrange(10**16)),
    lambda r: timedelta(microseconds=r.randrange(-(10**15), 10**15)),
    lambda r: Decimal(r.randrange(10**9)).scaleb(r.randrange(-20, 20)),
    lambda r: UUID(int=r.getrandbits(128)),
    lambda r: r.choice([Colour.RED, Level.LOW, Line("x", Decimal(1))]),
]  # fmt: skip


def random_value(r: random.Random, depth: int = 0) -> Any:
    kind = r.randrange(9) if depth < 5 else 8
    if kind == 0:
        return [random_value(r, depth + 1) for _ in range(r.randrange(4))]
    if kind == 1:
        return tuple(random_value(r, depth + 1) for _ in range(r.randrange(4)))
    if kind == 2:
        keys = [r.choice(["$", "$t", "v", "$$", "k", "\x00"]) + str(n) * r.randrange(2) for n in range(4)]
        return {key: random_value(r, depth + 1) for key in keys}
    return r.choice(LEAVES)(r)


def random_values(seed: int) -> list[Any]:
    r = random.Random(seed)
    return [random_value(r) for _ in range(150)]


def test_any_nested_value_survives_encoding() -> None:
    """271. decode(encode(value)) is the value, for random nestings of every kind."""
    for seed in random.sample(range(10**6), 20):
        for value in random_values(seed):
            text = encode(value)
            assert text.isascii() and "\x00" not in text
            assert same(decode(text), value), (seed, value)


@pytest.mark.django_db
def test_a_model_instance_is_stored_as_a_reference() -> None:
    """195. A saved instance comes back as the row stands now; without its row it cannot be read."""
    order = Order.objects.create(number="A-1", status="new")
    text = encode({"order": order})
    Order.objects.update(status="paid")
    found = decode(text)["order"]
    assert (type(found), found.pk, found.status) == (Order, order.pk, "paid")

    order.delete()
    with pytest.raises(SerializationError, match="Order"):
        decode(text)
    assert decode_or_text(text) == text


def test_a_pydantic_model_survives() -> None:
    """195. Registered pydantic models are stored by their fields."""
    line = pydantic.create_model("PydanticLine", name=str, price=Decimal, at=datetime)
    serializable(line)
    value = line(name="tea", price=Decimal("2.50"), at=datetime(2024, 1, 1, tzinfo=UTC))
    assert decode(encode([value])) == [value]


def test_the_duck_type_of_a_pydantic_model_survives() -> None:
    """195. What has model_dump and model_validate is stored by its fields, pydantic installed or not."""

    @serializable
    class Duck:
        def __init__(self, name: str) -> None:
            self.name = name

        def model_dump(self, mode: str) -> dict[str, Any]:
            assert mode == "json"
            return {"name": self.name, "$t": "decimal"}

        @classmethod
        def model_validate(cls, data: dict[str, Any]) -> "Duck":
            assert data.keys() == {"name", "$t"}
            return cls(data["name"])

    found = decode(encode([Duck("Donald")]))[0]
    assert (type(found), found.name) == (Duck, "Donald")


@pytest.mark.django_db
def test_what_the_database_holds_is_plain_text() -> None:
    """271. The column is text on both databases: jsonb would refuse NUL and reorder keys."""
    with SetWorkflowID("plain"):
        pass_value_on("order of keys")
    with connection.cursor() as cursor:
        cursor.execute("SELECT output FROM durable_app_step")
        assert cursor.fetchone()[0] == '{"z":1,"a":2,"m":3}'
