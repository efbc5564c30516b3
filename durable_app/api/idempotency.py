"""``Idempotency-Key`` (draft-ietf-httpapi-idempotency-key-header): a repeated request gets the first answer.

The key is noted in the transaction of the deed: there is no moment at which one is there without the other.
"""

import functools
import hashlib
import json
from collections.abc import Callable
from typing import Any, TypeVar

from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from durable_app.api.problems import Problem
from durable_app.identifiers import ID_LENGTH
from durable_app.store import idempotency
from durable_app.store.idempotency import Answer, Asked, InFlight, OtherRequest

HEADER = "Idempotency-Key"

T = TypeVar("T", bound=Callable[..., Any])


def idempotent(method: T) -> T:
    """Decorate the handler of a view: with a key in the header it does its deed once.

    What was refused or not understood is not noted: repeated, it is tried again.
    """

    @functools.wraps(method)
    def handler(view: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        if HEADER not in request.headers:
            return method(view, request, *args, **kwargs)
        asked = _asked(view, request)
        answered: list[Response] = []

        def act() -> Answer | None:
            try:
                response = method(view, request, *args, **kwargs)
            except Exception as error:  # noqa: BLE001  (what is no problem is raised again)
                response = view.handle_exception(error)
            answered[:] = [response]
            return _noted(response)

        try:
            earlier = idempotency.once(asked, act)
        except InFlight:
            raise Problem("request-in-flight", headers={"Retry-After": "1"}) from None
        except OtherRequest:
            raise Problem("idempotency-key-reused") from None
        return answered[-1] if earlier is None else _replayed(earlier)

    handler.takes_key = True  # type: ignore[attr-defined]
    return handler  # type: ignore[return-value]


def _asked(view: Any, request: Any) -> Asked:
    key = request.headers[HEADER]
    if len(key) > 1 and key[0] == key[-1] == '"':  # the draft's form: a string of structured fields
        key = key[1:-1]
    if not key or len(key) > ID_LENGTH or not (key.isascii() and key.isprintable()):
        raise Problem(
            "validation-error",
            errors=[{"parameter": HEADER, "message": f"A key has 1 to {ID_LENGTH} printable characters."}],
        )
    said = json.dumps([request.path, request.data], sort_keys=True)
    return Asked(
        actor=f"{view.actor.kind}:{view.actor.id}"[:ID_LENGTH],
        route=f"{request.method} {request.resolver_match.route}"[:ID_LENGTH],
        key=key,
        fingerprint=hashlib.sha256(said.encode()).hexdigest(),
    )


def _noted(response: Response) -> Answer | None:
    if response.status_code >= 400:
        return None
    text = JSONRenderer().render(response.data).decode()
    headers = {name: str(value) for name, value in response.headers.items()}
    return Answer(status_code=response.status_code, body=text, headers=headers)


def _replayed(answer: Answer) -> Response:
    headers = {**answer.headers, "Idempotent-Replayed": "true"}
    return Response(json.loads(answer.body), answer.status_code, headers=headers)
