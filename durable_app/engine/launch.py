"""Turning a call into a row: what a new run is, and how it is created."""

import json
import logging
import os
import re
import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from durable_app import clock, serialization
from durable_app.engine import versions
from durable_app.engine.context import NOBODY, Ambient, EnqueueOptions, Identity, Scope, ambient, current
from durable_app.engine.identity import acting, role_for
from durable_app.errors import (
    InvalidOptionError,
    InvalidWorkflowIDError,
    NotAllowedInStepError,
    SerializationError,
)
from durable_app.identifiers import ID_LENGTH, is_storable
from durable_app.limits import DEFAULT_QUEUE
from durable_app.registry import Definition
from durable_app.serialization import places
from durable_app.store.records import NewRun, Reuse

logger = logging.getLogger("durable_app")


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A workflow, and the class or instance it is called on."""

    definition: Definition
    class_name: str | None = None
    config_name: str | None = None


def new_id() -> str:
    """Return a fresh id that sorts by time: a UUID of version 7 (RFC 9562, section 5.7)."""
    milliseconds = time.time_ns() // 1_000_000
    tail = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | tail
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def checked_id(workflow_id: Any) -> str:
    """Return the id, or raise InvalidWorkflowIDError if it is empty, too long or not plain text."""
    if not isinstance(workflow_id, str) or not workflow_id.strip():
        raise InvalidWorkflowIDError(f"A workflow ID must be a non-empty text, not {workflow_id!r}.")
    if len(workflow_id) > ID_LENGTH:
        raise InvalidWorkflowIDError(
            f"A workflow ID has at most {ID_LENGTH} characters; this one has {len(workflow_id)}: "
            f"{workflow_id[:40]!r}..."
        )
    if not is_storable(workflow_id):
        raise InvalidWorkflowIDError(
            f"The workflow ID {workflow_id!r} has characters that databases do not store."
        )
    return workflow_id


def checked_key(key: Any, what: str) -> str:
    """Return a key or topic, or raise InvalidOptionError if no database would store it."""
    if not isinstance(key, str) or len(key) > ID_LENGTH or not is_storable(key):
        raise InvalidOptionError(f"{what} is a text of at most {ID_LENGTH} characters, not {key!r}")
    return key


def refuse_in_step(what: str) -> None:
    """Raise NotAllowedInStepError if a step's body runs here."""
    scope = current.get()
    if scope is not None and scope.step is not None:
        raise NotAllowedInStepError(what, scope.step.name)


def new_run(
    target: Target,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    child_of: "Parent | None" = None,
    queue: str | None = None,
) -> NewRun:
    """Return the row that a call of a workflow makes, as the surrounding blocks want it.

    Raises SerializationError for arguments that cannot be stored, InvalidOptionError for options of a
    queue if the run is put into none.
    """
    around = ambient.get()
    options = _enqueue_options(around, queue)
    definition = target.definition
    now = clock.now()
    workflow_id = _take_id(around, child_of)
    form, place = serialization.wanted(definition.serialization), places.inputs(workflow_id)
    span, deadline_at = _time_limit(around, child_of)
    identity = _identity(definition, child_of)
    run_after = None if options.delay is None else now + options.delay
    return NewRun(
        workflow_id=workflow_id,
        name=definition.name,
        inputs=form.write_inputs((args, kwargs), f"the inputs of workflow {definition.name!r}", place),
        serialization=form.name,
        status="ENQUEUED" if run_after is None else "DELAYED",
        queue_name=queue or DEFAULT_QUEUE,
        priority=options.priority or 0,
        deduplication_id=options.deduplication_id,
        partition_key=options.partition_key,
        run_after=run_after,
        class_name=target.class_name,
        config_name=target.config_name,
        parent_workflow_id=child_of.scope.execution.workflow_id if child_of else None,
        app_version=options.app_version or versions.current() or None,
        attributes=encoded_attributes(around.attributes),
        max_recovery_attempts=definition.max_recovery_attempts,
        timeout=span,
        deadline_at=deadline_at,
        created_at=now,
        enqueued_at=now,
        **_identity_columns(identity),
    )


def another(new: NewRun, args: tuple[Any, ...], kwargs: dict[str, Any], workflow_id: str) -> NewRun:
    """Return the row of the same call with other arguments, in the same blocks.

    Raises SerializationError for arguments that cannot be stored.
    """
    form, place = serialization.named(new.serialization), places.inputs(workflow_id)
    inputs = form.write_inputs((args, kwargs), f"the inputs of workflow {new.name!r}", place)
    return new._replace(workflow_id=workflow_id, inputs=inputs)


def _enqueue_options(around: Ambient, queue: str | None) -> EnqueueOptions:
    """Return the block's options; raise if they are meant for a queue, and there is none."""
    options = around.enqueue or EnqueueOptions()
    if queue is None and options != EnqueueOptions(app_version=options.app_version):
        raise InvalidOptionError(
            "SetEnqueueOptions is around a workflow that is not being enqueued: enqueue it on a queue"
        )
    return options


def reuse(new: NewRun) -> Reuse:
    """Return what the surrounding blocks want done about a run that is there already."""
    options = ambient.get().enqueue
    return Reuse(
        rejects_id=_rejects_id(new.workflow_id),
        joins_holder=options is not None and options.joins_holder,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Parent:
    """Where in its parent a child is started: ``step_id`` names it."""

    scope: Scope
    step_id: int | str


def _take_id(around: Ambient, child_of: Parent | None) -> str:
    chosen = around.chosen_id
    if chosen is not None and not chosen.used:
        chosen.used = True
        return chosen.workflow_id
    if chosen is not None:
        logger.warning(
            "SetWorkflowID was used already, a generated ID is given workflow_id=%s",
            chosen.workflow_id,
        )
    if child_of is None:
        return new_id()
    return checked_id(f"{child_of.scope.execution.workflow_id}-{child_of.step_id}")


def _rejects_id(workflow_id: str) -> bool:
    chosen = ambient.get().chosen_id
    return chosen is not None and chosen.rejects_reuse and chosen.workflow_id == workflow_id


def _time_limit(around: Ambient, child_of: Parent | None) -> tuple[timedelta | None, datetime | None]:
    """Return timeout and deadline: the block's own, else the parent's deadline."""
    if around.timeout is not None:
        return around.timeout.span, None
    return None, child_of.scope.execution.deadline_at if child_of else None


_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""JSON's NUL, unless its backslash is itself escaped."""


def encoded_attributes(attributes: dict[str, Any] | None) -> str | None:
    """Return the JSON text of a run's attributes; raise SerializationError if no jsonb column holds them."""
    if attributes is None:
        return None
    if not isinstance(attributes, dict):
        raise SerializationError(f"attributes must be a dict, not {type(attributes).__name__}")
    try:
        text = json.dumps(attributes, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise SerializationError(f"the attributes are not plain JSON: {error}") from None
    if not is_storable(text) or _NUL.search(text):
        raise SerializationError("the attributes have characters that databases do not store")
    return json.dumps(attributes)


def _identity(definition: Definition, child_of: Parent | None) -> Identity:
    """Return on whose behalf the run acts, in the role that allows it; if none does, a worker will say so."""
    found = acting(child_of.scope if child_of else None)
    if not definition.required_roles:
        return found
    return replace(found, assumed_role=role_for(definition.required_roles, found))


def _identity_columns(identity: Identity) -> dict[str, Any]:
    if identity is NOBODY:
        return {}
    roles = None if identity.roles is None else json.dumps(identity.roles)
    return {"user": identity.user, "roles": roles, "assumed_role": identity.assumed_role}


def identity_of(new: NewRun) -> Identity:
    """Return on whose behalf a run acts, from its row."""
    if new.user is None and new.roles is None:
        return NOBODY
    roles = None if new.roles is None else tuple(json.loads(new.roles))
    return Identity(user=new.user, roles=roles, assumed_role=new.assumed_role)


def running_here(record: NewRun, worker_id: str) -> NewRun:
    """Return the row of a run that its caller's thread executes at once."""
    now = record.created_at
    deadline_at = record.deadline_at
    if deadline_at is None and record.timeout is not None:
        deadline_at = now + record.timeout
    return record._replace(
        status="PENDING",
        queue_name=None,
        worker_id=worker_id,
        attempt=1,
        enqueued_at=None,
        started_at=now,
        deadline_at=deadline_at,
    )
