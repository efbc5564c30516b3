"""Which formats there are: the row names one, the settings decide whether it is read.

``json`` (tagged) and ``portable_json`` are always there; ``pickle`` and a project's own serializers only
where ``DURABLE["SERIALIZER"]`` or ``DURABLE["ALLOWED_SERIALIZERS"]`` names them.
"""

from functools import cache
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from durable_app import conf
from durable_app.errors import InvalidOptionError, SerializationError
from durable_app.serialization.formats import JSON, PICKLE, PORTABLE, Custom, Format, Place, Serializer
from durable_app.serialization.pickles import Pickle
from durable_app.serialization.portable import Portable

NAME_LENGTH = 32
"""Characters of the column that names the format."""

_JSON = Format()
_BUILT_IN: dict[str, Format] = {JSON: _JSON, PORTABLE: Portable(), PICKLE: Pickle()}

_substitute: list[Serializer | str] = []
"""What ``substitute`` has put in the place of the setting."""


def substitute(serializer: Serializer | str | None) -> None:
    """Let this process write with a serializer whatever the settings say; None ends it.

    For programs that configure themselves in code. Takes what ``DURABLE["SERIALIZER"]`` takes, or an
    instance; raises ImproperlyConfigured.
    """
    _substitute[:] = [] if serializer is None else [serializer]
    forget()
    chosen()


@cache
def chosen() -> Format:
    """Return the format that new values are written in."""
    return _format(_substitute[0] if _substitute else conf.options().SERIALIZER)


@cache
def _enabled() -> dict[str, Format]:
    found: dict[str, Format] = {JSON: _JSON, PORTABLE: _BUILT_IN[PORTABLE]}
    others = [_format(given) for given in (conf.options().SERIALIZER, *conf.options().ALLOWED_SERIALIZERS)]
    for one in (*others, chosen()):
        earlier = found.setdefault(one.name, one)
        if _maker(earlier) is not _maker(one):
            raise ImproperlyConfigured(f"Two serializers are named {one.name!r}.")
    return found


def _maker(found: Format) -> type:
    return type(found.serializer if isinstance(found, Custom) else found)


def check() -> None:
    """Raise ImproperlyConfigured if the settings name what is no serializer."""
    _enabled()


def _format(given: Serializer | str) -> Format:
    if isinstance(given, str):
        return _BUILT_IN[given] if given in _BUILT_IN else _format(_imported(given))
    name = getattr(given, "name", None)
    if not isinstance(name, str) or not 0 < len(name) <= NAME_LENGTH or name in _BUILT_IN:
        raise ImproperlyConfigured(
            f"The serializer {given!r} needs a `name` of 1 to {NAME_LENGTH} characters that is none of "
            f"{', '.join(_BUILT_IN)}, not {name!r}."
        )
    return Custom(given)


def _imported(path: str) -> Any:
    try:
        return import_string(path)()
    except (ImportError, TypeError, ValueError) as error:
        known = ", ".join(map(repr, _BUILT_IN))
        raise ImproperlyConfigured(
            f"{path!r} is no serializer: name {known}, or the dotted path of a class without arguments. "
            f"({error})"
        ) from error


def named(name: str) -> Format:
    """Return the format that a row names, or raise SerializationError if the settings do not enable it."""
    found = _enabled().get(name)
    if found is None:
        raise SerializationError(
            f"stored text was written by the serializer {name!r}, which is not enabled here: "
            f"DURABLE['ALLOWED_SERIALIZERS'] must name it"
        )
    return found


def wanted(name: str | None, default: Format | None = None) -> Format:
    """Return the format that a caller asks for: "portable", "native" (the project's), or a format's name.

    None is ``default``, or else the project's. Raises InvalidOptionError.
    """
    if name is None:
        return default or chosen()
    if name == "native":
        return chosen()
    found = _enabled().get(PORTABLE if name == "portable" else name)
    if found is None:
        known = ", ".join(sorted({"portable", "native", *_enabled()}))
        raise InvalidOptionError(f"serialization {name!r} is none of {known}")
    return found


def read(text: str, name: str, place: Place) -> Any:
    """Return the value of a row's text; raises SerializationError."""
    return named(name).read(text, place)


def shown(text: str | None, name: str) -> Any:
    """Return the value for those who only look, or the raw text where it cannot, or must not, be read."""
    return _shown(text, name, lambda found: found.read(text or "", ()))


def shown_inputs(text: str | None, name: str) -> Any:
    """Return a run's arguments for those who only look, as ``{"args": [...], "kwargs": {...}}``."""

    def read_inputs(found: Format) -> Any:
        args, kwargs = found.read_inputs(text or "", ())
        return {"args": list(args), "kwargs": kwargs}

    return _shown(text, name, read_inputs)


def _shown(text: str | None, name: str, look: Any) -> Any:
    if text is None:
        return None
    try:
        found = named(name)
        return look(found) if found.is_shown else text
    except Exception:  # noqa: BLE001  (a listing shows what it can)
        return text


def read_error(text: str, name: str) -> Exception:
    """Return the exception of a row's text; never raises."""
    return _enabled().get(name, _JSON).read_error(text)


def write_error(error: BaseException, name: str) -> str:
    """Return the text of an exception for a row in this format; never raises."""
    return _enabled().get(name, _JSON).write_error(error)


def moved(text: str, name: str, source: Place, target: Place) -> str:
    """Return a row's text as it is to stand at another place."""
    return text if name == JSON else _enabled().get(name, _JSON).moved(text, source, target)


def forget() -> None:
    """Read the settings again."""
    chosen.cache_clear()
    _enabled.cache_clear()


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == "DURABLE":
        forget()


setting_changed.connect(_forget, dispatch_uid="durable_app.serialization")
