"""Pickle, for projects that ask for it: signed, so that only what this project has written is ever loaded.

The signature (``django.core.signing``, keyed by SECRET_KEY) covers the text and its place: run, field and
position. A text that was altered, or copied from elsewhere in the tables, is refused before it is unpickled.
"""

import json
import pickle
from base64 import b64decode, b64encode
from typing import Any

from django.core.signing import BadSignature, Signer

from durable_app.errors import SerializationError
from durable_app.serialization.formats import PICKLE, Format, Place
from durable_app.serialization.tagged import check_size


class Pickle(Format):
    """Signed pickles."""

    name = PICKLE
    is_shown = False  # who only looks runs no code

    def write(self, value: Any, what: str, place: Place) -> str:
        """Return the signed text of a value; raises SerializationError for what cannot be pickled."""
        try:
            data = pickle.dumps(value, protocol=5)
        except Exception as error:
            raise SerializationError(f"{what} cannot be pickled: {error}") from error
        text = _signer(place).sign(b64encode(data).decode())
        check_size(text, what)
        return text

    def read(self, text: str, place: Place) -> Any:
        """Return the value, once its signature has proved where it comes from."""
        data = _verified(text, place)
        try:
            return pickle.loads(b64decode(data))  # noqa: S301  (signed by this project for this place)
        except Exception as error:
            raise SerializationError(f"a stored pickle cannot be loaded: {error}") from error

    def moved(self, text: str, source: Place, target: Place) -> str:
        """Sign for another place what is genuine here; what is not stays as it is, and unreadable."""
        try:
            return _signer(target).sign(_verified(text, source))
        except SerializationError:
            return text


def _verified(text: str, place: Place) -> str:
    try:
        return _signer(place).unsign(text)
    except BadSignature:
        raise SerializationError(
            f"a stored pickle is not signed for where it stands ({json.dumps(place)}): it was altered or "
            f"copied there, or SECRET_KEY has changed"
        ) from None


def _signer(place: Place) -> Signer:
    return Signer(salt=f"durable_app.pickle:{json.dumps(place)}")
