"""A run's arguments as its function wants them: times made of text, values checked against type hints."""

import inspect
import types
import typing
from collections.abc import Callable
from datetime import date, datetime
from functools import cached_property
from typing import Any

from durable_app.errors import InvalidArgumentsError, InvalidOptionError

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


def with_times(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
    """Return portable arguments with a datetime or date where the function's hint asks for one.

    Raises InvalidArgumentsError for text that is none.
    """
    hints = {name: kind for name, hint in _hints(func).items() if (kind := _time_kind(hint))}
    if not hints:
        return args, kwargs
    names = [name for name, one in inspect.signature(func).parameters.items() if one.kind in _POSITIONAL]
    named = dict(zip(names, args, strict=False))
    changed = [_time(hints.get(name), name, value) for name, value in named.items()]
    return (
        (*changed, *args[len(named) :]),
        {name: _time(hints.get(name), name, value) for name, value in kwargs.items()},
    )


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _hints(func: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(inspect.unwrap(func))
    except Exception:  # noqa: BLE001  (a hint may name what is only imported for type checkers)
        return {}


def _time_kind(hint: Any) -> type[date] | None:
    """Return datetime or date if the hint is just that, or that or None."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        options = [one for one in typing.get_args(hint) if one is not type(None)]
        hint = options[0] if len(options) == 1 else None
    return hint if hint in (datetime, date) else None


def _time(kind: type[date] | None, name: str, value: Any) -> Any:
    if kind is None or not isinstance(value, str):
        return value
    try:
        return kind.fromisoformat(value)
    except ValueError:
        raise InvalidArgumentsError(f"argument {name!r}: {value!r} is no {kind.__name__}") from None


class HintsValidator:
    """Checks a function's arguments against its type hints with pydantic, and makes what they ask for.

    ``skip_first`` leaves out ``self`` or ``cls``. Raises InvalidOptionError where pydantic is missing; when
    called, InvalidArgumentsError with a sentence for every argument that does not fit.
    """

    def __init__(self, func: Callable[..., Any], *, skip_first: bool = False) -> None:
        try:
            import pydantic  # noqa: PLC0415  (optional)
        except ImportError as error:
            raise InvalidOptionError("validate_args=True needs pydantic: pip install pydantic") from error
        self._pydantic = pydantic
        self._func = func
        self._skip_first = skip_first

    @cached_property
    def _signature(self) -> inspect.Signature:
        found = inspect.signature(self._func)
        return found.replace(parameters=list(found.parameters.values())[self._skip_first :])

    @cached_property
    def _adapters(self) -> dict[str, Any]:
        """What checks each parameter; made at the first call, when all names of the hints exist."""
        hints = typing.get_type_hints(self._func, include_extras=True)
        return {
            name: self._pydantic.TypeAdapter(hints[name])
            for name in self._signature.parameters
            if name in hints
        }

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        """Return the arguments as the hints want them."""
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidArgumentsError(str(error)) from None
        problems: list[str] = []
        for name, value in bound.arguments.items():
            bound.arguments[name] = self._checked(name, value, problems)
        if problems:
            raise InvalidArgumentsError("; ".join(problems))
        return bound.args, bound.kwargs

    def _checked(self, name: str, value: Any, problems: list[str]) -> Any:
        match self._signature.parameters[name].kind:
            case inspect.Parameter.VAR_POSITIONAL:
                return tuple(self._one(name, item, problems) for item in value)
            case inspect.Parameter.VAR_KEYWORD:
                return {key: self._one(key, item, problems, hint=name) for key, item in value.items()}
            case _:
                return self._one(name, value, problems)

    def _one(self, name: str, value: Any, problems: list[str], hint: str | None = None) -> Any:
        adapter = self._adapters.get(hint or name)
        if adapter is None:
            return value
        try:
            return adapter.validate_python(value)
        except self._pydantic.ValidationError as error:
            found = error.errors(include_url=False, include_context=False)
            problems += [f"argument {_path(name, one['loc'])!r}: {one['msg']}" for one in found]
            return value


def _path(name: str, location: tuple[int | str, ...]) -> str:
    return ".".join([name, *map(str, location)])
