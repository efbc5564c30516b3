"""What a client does inside a workflow is no step of it."""

import functools
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar, cast

from asgiref.sync import iscoroutinefunction

from durable_app.engine.context import current

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


@contextmanager
def _outside() -> Iterator[None]:
    token = current.set(None)
    try:
        yield
    finally:
        current.reset(token)


def outside(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function, of either colour, that is performed as if no workflow ran here."""

    @functools.wraps(function)
    async def awrapper(*args: P.args, **kwargs: P.kwargs) -> Any:
        with _outside():
            return await cast(Any, function(*args, **kwargs))

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        with _outside():
            return function(*args, **kwargs)

    return cast(Callable[P, R], awrapper) if iscoroutinefunction(function) else wrapper


def outside_each(function: Callable[P, Generator[T, Any, None]]) -> Callable[P, Generator[T, Any, None]]:
    """Return a generator function each of whose steps is performed as if no workflow ran here."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Generator[T, Any, None]:
        values = function(*args, **kwargs)
        while True:
            with _outside():
                try:
                    value = next(values)
                except StopIteration:
                    return
            yield value

    return wrapper


def outside_each_async(
    function: Callable[P, AsyncGenerator[T, None]],
) -> Callable[P, AsyncGenerator[T, None]]:
    """Return an async generator function each of whose steps is performed as if no workflow ran here."""

    @functools.wraps(function)
    async def wrapper(*args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[T, None]:
        values = function(*args, **kwargs)
        while True:
            with _outside():
                try:
                    value = await anext(values)
                except StopAsyncIteration:
                    return
            yield value

    return wrapper
