"""Blocks that say how the runs started in them are to run, and what the running code may ask of itself."""

from dataclasses import replace
from types import TracebackType
from typing import Any, Literal

from durable_app import contexts
from durable_app.dbos.pairs import unused
from durable_app.engine.context import Identity, ambient
from durable_app.engine.identity import checked_roles

DuplicationPolicy = Literal["reject", "return-existing"]
WorkflowIDReusePolicy = Literal["return-existing", "reject"]

SetWorkflowAttributes = contexts.SetWorkflowAttributes
SetEnqueueOptions = contexts.SetEnqueueOptions


class SetWorkflowID(contexts.SetWorkflowID):
    """Give the first workflow started in the block this id."""

    def __init__(self, wfid: str, *, workflow_id_reuse_policy: WorkflowIDReusePolicy | None = None) -> None:
        super().__init__(wfid, workflow_id_reuse_policy=workflow_id_reuse_policy or "return-existing")


class SetWorkflowTimeout(contexts.SetWorkflowTimeout):
    """Cancel the workflows started in the block once they have run this many seconds."""

    def __init__(self, workflow_timeout_sec: float | None) -> None:
        super().__init__(workflow_timeout_sec)


class DBOSContextSetAuth(contexts.SetIdentity):
    """Say on whose behalf the workflows started in the block run, and in which roles."""

    def __init__(self, user: str | None, roles: list[str] | None) -> None:
        super().__init__(user, roles)


def set_authentication(authenticated_user: str | None, authenticated_roles: list[str] | None) -> None:
    """Say from here on, in the innermost block or task, on whose behalf workflows are started."""
    identity = Identity(
        user=authenticated_user,
        roles=None if authenticated_roles is None else checked_roles(authenticated_roles),
    )
    ambient.set(replace(ambient.get(), identity=identity))


class _Ignored:
    """A block without effect."""

    def __enter__(self) -> "_Ignored":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class DBOSContextEnsure(_Ignored):
    """Makes a context there; here there always is one."""


class SetShardKey(_Ignored):
    """Names a shard there; here there is one database."""

    def __init__(self, shard_key: str) -> None:
        unused(shard_key=shard_key)


class PropagateOtelContext(_Ignored):
    """Hands the caller's trace on there; here traces are the project's business."""

    def __init__(self, context: Any = None) -> None:
        self.context = context
