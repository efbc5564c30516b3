"""Errors as RFC 9457 has them: ``application/problem+json``, each with a stable type and code."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response

from durable_app import errors
from durable_app.control.operator import Refused, Result
from durable_app.keyset import WrongCursor

CONTENT_TYPE = "application/problem+json"
TYPE = "urn:problem-type:durable:"


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A kind of problem: its status, and what it is in a few words."""

    status: int
    title: str


KINDS: Mapping[str, Kind] = {
    "malformed-body": Kind(status=400, title="The body is not JSON"),
    "validation-error": Kind(status=400, title="The request is not valid"),
    "invalid-cursor": Kind(status=400, title="The cursor does not belong to this list"),
    "not-authenticated": Kind(status=401, title="Nobody is authenticated"),
    "permission-denied": Kind(status=403, title="The permission is missing"),
    "not-exposed": Kind(status=403, title="The workflow is not open to the API"),
    "not-found": Kind(status=404, title="There is no such resource"),
    "run-not-found": Kind(status=404, title="There is no such run"),
    "queue-not-found": Kind(status=404, title="There is no such queue"),
    "schedule-not-found": Kind(status=404, title="There is no such schedule"),
    "approval-not-found": Kind(status=404, title="There is no such approval"),
    "version-not-found": Kind(status=404, title="There is no such version"),
    "workflow-not-found": Kind(status=404, title="There is no such workflow"),
    "method-not-allowed": Kind(status=405, title="The method is not allowed"),
    "conflict": Kind(status=409, title="The state does not allow it"),
    "conflict-id": Kind(status=409, title="The id is taken"),
    "dedup-conflict": Kind(status=409, title="Another active run has the deduplication id"),
    "invalid-transition": Kind(status=409, title="The target's state does not allow the verb"),
    "request-in-flight": Kind(status=409, title="The first request with this key is being answered"),
    "run-failed": Kind(status=409, title="The run has no result"),
    "schedule-exists": Kind(status=409, title="The name is taken"),
    "precondition-failed": Kind(status=412, title="It has been changed meanwhile"),
    "payload-too-large": Kind(status=413, title="A value or the body is too large"),
    "unsupported-media-type": Kind(status=415, title="The body must be application/json"),
    "idempotency-key-reused": Kind(status=422, title="The key belongs to another request"),
    "throttled": Kind(status=429, title="Too many requests"),
    "query-timeout": Kind(status=503, title="The query took too long"),
    "not-ready": Kind(status=503, title="The database is not ready"),
}

_CODES: Mapping[type[Exception], str] = {
    errors.NonExistentWorkflowError: "run-not-found",
    errors.NonExistentQueueError: "queue-not-found",
    errors.NonExistentScheduleError: "schedule-not-found",
    errors.NonExistentApprovalError: "approval-not-found",
    errors.NonExistentVersionError: "version-not-found",
    errors.WorkflowFunctionNotFoundError: "workflow-not-found",
    errors.PermissionDeniedError: "permission-denied",
    errors.ConflictingWorkflowError: "conflict-id",
    errors.WorkflowIDInUseError: "conflict-id",
    errors.QueueDeduplicatedError: "dedup-conflict",
    errors.ScheduleExistsError: "schedule-exists",
    errors.InvalidTransitionError: "invalid-transition",
    errors.PayloadTooLargeError: "payload-too-large",
    errors.InvalidOptionError: "validation-error",
    errors.InvalidWorkflowIDError: "validation-error",
    errors.InvalidArgumentsError: "validation-error",
    errors.InvalidAnswerError: "validation-error",
    errors.SerializationError: "validation-error",
    errors.QueryTimeoutError: "query-timeout",
    errors.DatabaseNotReadyError: "not-ready",
    Refused: "invalid-transition",
    errors.DurableError: "conflict",
    WrongCursor: "invalid-cursor",
    exceptions.ParseError: "malformed-body",
    exceptions.ValidationError: "validation-error",
    exceptions.AuthenticationFailed: "not-authenticated",
    exceptions.NotAuthenticated: "not-authenticated",
    exceptions.PermissionDenied: "permission-denied",
    exceptions.NotFound: "not-found",
    exceptions.MethodNotAllowed: "method-not-allowed",
    exceptions.UnsupportedMediaType: "unsupported-media-type",
    exceptions.Throttled: "throttled",
    PermissionDenied: "permission-denied",
    Http404: "not-found",
    RequestDataTooBig: "payload-too-large",
    SuspiciousOperation: "validation-error",
}


class Problem(exceptions.APIException):
    """Answers with a problem of a known code; ``more`` are members that this code has besides."""

    def __init__(
        self, code: str, detail: str = "", *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        self.kind = KINDS[code]
        self.status_code = self.kind.status
        self.problem_code = code
        self.sentence = detail or f"{self.kind.title}."
        self.headers = dict(headers or {})
        self.more = more
        super().__init__(self.sentence)

    def response(self) -> Response:
        """Return the answer."""
        body = {
            "type": f"{TYPE}{self.problem_code}",
            "title": self.kind.title,
            "status": self.status_code,
            "code": self.problem_code,
            "detail": self.sentence,
            **self.more,
        }
        return Response(body, self.status_code, headers=self.headers, content_type=CONTENT_TYPE)


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """Return the answer to an error that a client can do something about; None for one of ours.

    Nothing is rolled back here: a denial's record must stay, and what is written elsewhere is whole.
    """
    found = problem_of(error)
    return None if found is None else found.response()


def problem_of(error: Exception) -> Problem | None:
    """Return the problem that an error is."""
    if isinstance(error, Problem):
        return error
    code = next((_CODES[one] for one in type(error).__mro__ if one in _CODES), None)
    if code is None:
        return None
    if isinstance(error, exceptions.APIException):
        return _of_framework(code, error)
    if isinstance(error, errors.InvalidAnswerError):
        return Problem(code, "The answer is not valid.", errors=list(pointers(error.errors)))
    if isinstance(error, errors.InvalidOptionError) and error.options:
        return Problem(code, str(error), errors=list(_at_fault(error)))
    if isinstance(error, errors.PermissionDeniedError | PermissionDenied | Http404):
        return Problem(code)  # which permission, and whether there is something, is nobody's business
    return Problem(code, str(error))


_FIELDS = {
    "queue_name": "queue",
    "start_step": "from_step",
    "timeout": "timeout_ms",
}
"""Options whose fields have other names."""


def _at_fault(error: errors.InvalidOptionError) -> Iterator[dict[str, str]]:
    for one in error.options:
        yield {"pointer": f"/{_FIELDS.get(one, one)}", "message": str(error)}


def _of_framework(code: str, error: exceptions.APIException) -> Problem:
    if isinstance(error, exceptions.ValidationError):
        return Problem(code, errors=list(pointers(error.detail)))
    found = Problem(code, str(error.detail))
    found.status_code = error.status_code  # 401, or 403 where no scheme asks for credentials
    if getattr(error, "auth_header", None):
        found.headers["WWW-Authenticate"] = str(error.auth_header)  # type: ignore[attr-defined]
    wait = getattr(error, "wait", None)
    if wait is not None:
        found.headers["Retry-After"] = str(int(wait) + 1)
    return found


def pointers(detail: Any, pointer: str = "") -> Iterator[dict[str, str]]:
    """Yield what is wrong with a body, and where: a JSON pointer (RFC 6901) and a sentence each."""
    match detail:
        case dict():
            for name, one in detail.items():
                step = "" if name == "non_field_errors" else f"/{_escaped(str(name))}"
                yield from pointers(one, pointer + step)
        case list():
            for at, one in enumerate(detail):
                yield from pointers(one, pointer if isinstance(one, str) else f"{pointer}/{at}")
        case _:
            yield {"pointer": pointer, "message": str(detail)}


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def invalid(pointer: str, message: str) -> Problem:
    """Return the problem of one place in a body."""
    return Problem("validation-error", errors=[{"pointer": pointer, "message": message}])


def settled(result: Result, **more: Any) -> Result:
    """Return a verb's result if it is done, or raise its problem; ``more`` are members of a conflict."""
    if result.is_done:
        return result
    if result.outcome == "denied":
        raise Problem("permission-denied", result.detail)
    found = problem_of(result.error) if result.error is not None else None
    if found is None and result.is_missing:
        found = Problem("run-not-found", result.detail)
    if found is None:
        found = Problem("invalid-transition" if result.outcome == "refused" else "conflict", result.detail)
    if found.status_code == 409:
        found.more.update(more)
    raise found
