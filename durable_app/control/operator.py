"""An operator's verbs: the same permission, state and audit rules for every surface."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from durable_app.control import inputs as arguments
from durable_app.control import runs as verbs_on_runs
from durable_app.control.actors import Actor
from durable_app.control.inputs import Inputs
from durable_app.control.verbs import FINISHED, VERBS, Verb
from durable_app.errors import (
    DurableError,
    InvalidOptionError,
    NonExistentQueueError,
    NonExistentScheduleError,
    NonExistentVersionError,
    NonExistentWorkflowError,
    PermissionDeniedError,
)
from durable_app.store import audit, database, lifecycle, runs
from durable_app.store.audit import Deed

LOWEST = 2_147_483_647
"""The number of the lowest priority: what every database can store."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What became of a verb on one target."""

    target: str
    outcome: str
    """"done", "denied", "refused" or "failed"."""
    detail: str = ""
    """Why not, in a sentence."""
    made: str = ""
    """The id of the run that the verb made, if it made one."""
    error: DurableError | None = field(default=None, compare=False, repr=False)
    """What it was refused or failed with, for those who tell kinds of errors apart."""
    is_missing: bool = False
    """Whether there is no such target, as far as the actor can see."""

    @property
    def is_done(self) -> bool:
        """Whether the verb took effect."""
        return self.outcome == "done"


@dataclass(frozen=True, kw_only=True, slots=True)
class Operator:
    """Performs verbs for an actor, each with a reason; nothing is done without its record."""

    actor: Actor
    reason: str = ""
    bulk_operation: str = ""
    """The bulk operation that this is part of."""

    # on runs

    def cancel(self, workflow_ids: Iterable[str], *, cancel_children: bool = False) -> list[Result]:
        """Cancel runs, and their descendants if asked; a running one ends at its next step."""
        details = {"cancel_children": True} if cancel_children else {}

        def act(workflow_id: str) -> str:
            found = verbs_on_runs.cancel([workflow_id])
            _or_refuse(workflow_id in found, "The run has ended meanwhile.")
            if cancel_children:
                below = self._descendants("cancel", workflow_id)
                self._note_descendants("cancel", verbs_on_runs.cancel(below), workflow_id)
            return ""

        return self._on_each("cancel", workflow_ids, act, details)

    def resume(self, workflow_ids: Iterable[str], *, queue_name: str | None = None) -> list[Result]:
        """Let cancelled or dead-lettered runs go on after their last recorded step, in their queues again."""
        act = partial(verbs_on_runs.resume_in_place, queue_name=queue_name)
        return self._on_each("resume", workflow_ids, act, {"queue": queue_name} if queue_name else {})

    def run_now(self, workflow_ids: Iterable[str]) -> list[Result]:
        """Let runs start that are delayed, or that stand in a queue: past its limits."""

        def act(workflow_id: str) -> str:
            return _or_refuse(lifecycle.run_now(workflow_id), "The run has been taken meanwhile.")

        return self._on_each("run_now", workflow_ids, act)

    def set_priority(self, workflow_ids: Iterable[str], *, priority: int) -> list[Result]:
        """Let runs that no worker has be taken sooner or later than others of their queue; 0 is the first.

        Raises InvalidOptionError for what can be no priority.
        """
        if not 0 <= priority <= LOWEST:
            raise InvalidOptionError(f"a priority is a whole number from 0 to {LOWEST}, not {priority}")

        def act(workflow_id: str) -> str:
            worked = lifecycle.set_priority(workflow_id, priority)
            return _or_refuse(worked, "The run has been taken meanwhile.")

        return self._on_each("set_priority", workflow_ids, act, {"priority": priority})

    def retry(self, workflow_ids: Iterable[str]) -> list[Result]:
        """Run unsuccessful runs again under new ids, from the step that failed; the old ones stay."""
        return self._on_each("retry", workflow_ids, verbs_on_runs.retry)

    def fork(
        self, workflow_id: str, start_step: int, *, inputs: Inputs | None = None, **options: Any
    ) -> Result:
        """Run a history again under a new id; ``options`` are the fields of ``Fork``.

        ``inputs`` are the new run's arguments in place of the old ones. To choose them takes the permission
        to start runs, too; the audit tells that they were edited, and not what they are.
        """
        act = partial(verbs_on_runs.fork_from, start_step=start_step, inputs=inputs, **options)
        details: dict[str, Any] = {"start_step": start_step}
        if inputs is None:
            return self._on_each("fork", [workflow_id], act, details)[0]
        details["inputs"] = "edited"
        return self._on_each("fork", [workflow_id], act, details, also=arguments.PERMISSION)[0]

    def rewind(self, workflow_id: str, start_step: int) -> Result:
        """Run a finished run again under its own id; its later history is dropped."""
        act = partial(verbs_on_runs.rewind_from, start_step=start_step)
        return self._on_each("rewind", [workflow_id], act, {"start_step": start_step})[0]

    def send(
        self, workflow_ids: Iterable[str], message: Any, topic: str = "", idempotency_key: str | None = None
    ) -> list[Result]:
        """Send a message to runs."""
        act = partial(verbs_on_runs.send, message=message, topic=topic, idempotency_key=idempotency_key)
        return self._on_each("send", workflow_ids, act, {"topic": topic})

    def delete(self, workflow_ids: Iterable[str], *, delete_children: bool = False) -> list[Result]:
        """Delete finished runs with all that belongs to them, and their finished descendants if asked."""

        def act(workflow_id: str) -> str:
            below = self._descendants("delete", workflow_id) if delete_children else []
            worked = lifecycle.delete([workflow_id], among=FINISHED)
            _or_refuse(bool(worked), "The run goes on meanwhile.")
            if below:
                lifecycle.delete(below, among=FINISHED)
            self._note_descendants("delete", below, workflow_id)
            return ""

        details = {"delete_children": True} if delete_children else {}
        return self._on_each("delete", workflow_ids, act, details)

    def _descendants(self, name: str, workflow_id: str) -> list[str]:
        """Return the descendants of a run that a verb may be done to, too.

        Those that the actor may not know of, or may not do it to, stay as they are, as do those whose state
        does not allow it.
        """
        verb = VERBS[name]
        ids = lifecycle.children([workflow_id], compensations=name != "cancel")
        found = runs.among(ids, self.actor.sees)
        return [
            run.workflow_id
            for run in found
            if not verb.refusal_of(run) and self.actor.may(verb.permission, run)
        ]

    def _note_descendants(self, verb: str, workflow_ids: Iterable[str], ancestor: str) -> None:
        done = (Result(target=one, outcome="done") for one in workflow_ids)
        audit.record_all(self._deed(verb, one, {"with": ancestor}) for one in done)

    def _on_each(
        self,
        name: str,
        workflow_ids: Iterable[str],
        act: Callable[[str], str],
        details: dict[str, Any] | None = None,
        also: str | None = None,
    ) -> list[Result]:
        """Do it to each by itself: one that cannot be done does not stop the others.

        ``also`` is a permission that it takes besides the verb's own.
        """
        verb = VERBS[name]
        permissions = (verb.permission, also or verb.permission)
        return [
            self._on_run(verb, permissions, one, act, details or {}) for one in dict.fromkeys(workflow_ids)
        ]

    def _on_run(
        self,
        verb: Verb,
        permissions: tuple[str, ...],
        workflow_id: str,
        act: Callable[[str], str],
        details: dict[str, Any],
    ) -> Result:
        run = runs.find(workflow_id, self.actor.sees)
        if run is None:
            # Unknown and invisible runs look alike, also to those who may do nothing.
            outcome = "failed" if all(map(self.actor.may, permissions)) else "denied"
            missing = Result(target=workflow_id, outcome=outcome, detail=_MISSING, is_missing=True)
            return self._noted(verb.name, missing, details)
        if not all(self.actor.may(one, run) for one in permissions):
            return self.deny(verb.name, workflow_id)
        refusal = verb.refusal_of(run)
        if refusal:
            return self._noted(
                verb.name, Result(target=workflow_id, outcome="refused", detail=refusal), details
            )
        return self.perform(verb.name, workflow_id, partial(act, workflow_id), details)

    # on anything

    def deny(self, verb: str, target: str, target_kind: str = "workflow") -> Result:
        """Record that the actor may not do this to a target."""
        return self._noted(verb, Result(target=target, outcome="denied", detail=_DENIED), {}, target_kind)

    def require(
        self, permission: str, verb: str, target_kind: str, target_id: str = "", target: Any = None
    ) -> None:
        """Raise PermissionDeniedError, having recorded it, unless the actor may use a verb, on a target."""
        if self.actor.may(permission, target):
            return
        self.deny(verb, target_id, target_kind)
        raise PermissionDeniedError(verb, permission)

    def perform(
        self,
        verb: str,
        target: str,
        act: Callable[[], str],
        details: dict[str, Any] | None = None,
        target_kind: str = "workflow",
    ) -> Result:
        """Do something and record it, in one transaction; the engine's refusal is a result, not an error.

        ``act`` returns the id of what it made, or an empty text.
        """
        details = {} if details is None else details  # ``act`` may add to them
        try:
            with database.transact():
                made = act()
                noted = {**details, "made": made} if made else details
                return self._noted(verb, Result(target=target, outcome="done", made=made), noted, target_kind)
        except DurableError as error:
            outcome = "refused" if isinstance(error, Refused) else "failed"
            is_missing = isinstance(error, _ABSENT)
            failed = Result(
                target=target, outcome=outcome, detail=str(error), error=error, is_missing=is_missing
            )
            return self._noted(verb, failed, details, target_kind)

    def _noted(
        self, verb: str, result: Result, details: dict[str, Any], target_kind: str = "workflow"
    ) -> Result:
        noted = {**details, "detail": result.detail} if result.detail else details
        audit.record(self._deed(verb, result, noted, target_kind))
        return result

    def _deed(
        self, verb: str, result: Result, details: dict[str, Any], target_kind: str = "workflow"
    ) -> Deed:
        return Deed(
            verb=verb,
            outcome=result.outcome,
            actor_kind=self.actor.kind,
            actor_id=self.actor.id,
            actor_label=self.actor.label,
            target_kind=target_kind,
            target_id=result.target[:255],
            reason=self.reason,
            details=details,
            ip=self.actor.ip,
            request_id=self.actor.request_id,
            bulk_operation=self.bulk_operation,
        )


class Refused(DurableError):
    """The target's state does not allow the verb (any more)."""


_ABSENT = (
    NonExistentQueueError,
    NonExistentScheduleError,
    NonExistentVersionError,
    NonExistentWorkflowError,
)
_MISSING = "There is no such run."
_DENIED = "The permission is missing."


def _or_refuse(worked: bool, why: str) -> str:
    if not worked:
        raise Refused(why)
    return ""
