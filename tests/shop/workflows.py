"""Tiny workflows, one a behaviour; the tests import them, and so do the worker processes they start."""

import tests.shop.crash  # noqa: F401  (registers its workflows)
from durable_app import sleep, step, workflow
from tests.shop import asked as asked
from tests.shop import crowd as crowd
from tests.shop import flow as flow
from tests.shop import hold as hold
from tests.shop import identity as identity
from tests.shop import punctual as punctual
from tests.shop import queues as queues
from tests.shop import releases as releases
from tests.shop import rounds as rounds
from tests.shop import talk as talk
from tests.shop import trips as trips
from tests.shop import undoing as undoing


@step
def add(left: int, right: int) -> int:
    return left + right


@workflow
def sum_of_three(a: int, b: int, c: int) -> int:
    return add(add(a, b), c)


@workflow
def nap_and_add(seconds: float, a: int, b: int) -> int:
    first = add(a, 0)
    sleep(seconds)
    return add(first, b)
