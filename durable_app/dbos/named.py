"""Runs of workflows that are known by name alone: their code may live in another process."""

from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from typing import Any, Required, TypedDict

from durable_app import public as ours
from durable_app.contexts import SetEnqueueOptions, SetWorkflowAttributes, SetWorkflowID, SetWorkflowTimeout
from durable_app.dbos.context import DBOSContextSetAuth, DuplicationPolicy, WorkflowIDReusePolicy
from durable_app.dbos.handles import WorkflowHandle, WorkflowHandleAsync
from durable_app.dbos.pairs import unused
from durable_app.dbos.serialization import Format, format_name
from durable_app.dbos.threads import blocking
from durable_app.engine.launch import Target
from durable_app.errors import WorkflowFunctionNotFoundError
from durable_app.registry import Definition, registry


class EnqueueOptions(TypedDict, total=False):
    """Which workflow is to be enqueued, where, and how it is to stand there."""

    workflow_name: Required[str]
    queue_name: Required[str]
    class_name: str | None
    instance_name: str | None
    workflow_id: str | None
    workflow_id_reuse_policy: WorkflowIDReusePolicy | None
    workflow_timeout: float | None
    app_version: str | None
    delay_seconds: float | None
    deduplication_id: str | None
    duplication_policy: DuplicationPolicy | None
    priority: int | None
    queue_partition_key: str | None
    authenticated_user: str | None
    authenticated_roles: list[str] | None
    attributes: dict[str, Any] | None
    serialization_type: Format
    max_recovery_attempts: int | None
    application_name: str | None
    otel_context: Any
    shard_key: str | None


def target_named(name: str, class_name: str | None = None, instance_name: str | None = None) -> Target:
    """Return what a run of a workflow is that this process need not know."""
    found = registry.workflows.get(name) or Definition(name=name, func=_unknown, is_async=False)
    return Target(definition=found, class_name=class_name, config_name=instance_name)


def _unknown(*args: Any, **kwargs: Any) -> Any:
    raise WorkflowFunctionNotFoundError("This process only enqueues the workflow, it does not have its code.")


def target_of(options: EnqueueOptions) -> Target:
    """Return what a run with these options is."""
    found = target_named(options["workflow_name"], options.get("class_name"), options.get("instance_name"))
    changes: dict[str, Any] = {}
    if (wanted := format_name(options.get("serialization_type"))) is not None:
        changes["serialization"] = wanted
    if "max_recovery_attempts" in options:
        changes["max_recovery_attempts"] = options["max_recovery_attempts"]
    return replace(found, definition=replace(found.definition, **changes)) if changes else found


_QUEUEING = (
    "app_version", "delay_seconds", "deduplication_id", "duplication_policy", "priority",
    "queue_partition_key",
)  # fmt: skip


def surroundings(options: EnqueueOptions) -> AbstractContextManager[Any]:
    """Return the blocks that the options stand for."""
    unused(shard_key=options.get("shard_key"), otel_context=options.get("otel_context"))
    queueing: dict[str, Any] = {
        name: options.get(name) for name in _QUEUEING if options.get(name) is not None
    }
    blocks = ExitStack()
    blocks.enter_context(SetEnqueueOptions(**queueing))
    if (workflow_id := options.get("workflow_id")) is not None:
        policy = options.get("workflow_id_reuse_policy") or "return-existing"
        blocks.enter_context(SetWorkflowID(workflow_id, workflow_id_reuse_policy=policy))
    if (timeout := options.get("workflow_timeout")) is not None:
        blocks.enter_context(SetWorkflowTimeout(timeout))
    if (attributes := options.get("attributes")) is not None:
        blocks.enter_context(SetWorkflowAttributes(attributes))
    if options.get("authenticated_user") is not None:
        user, roles = options.get("authenticated_user"), options.get("authenticated_roles")
        blocks.enter_context(DBOSContextSetAuth(user, roles))
    return blocks


def enqueue_workflow_with_options(options: EnqueueOptions, *args: Any, **kwargs: Any) -> WorkflowHandle[Any]:
    """Enqueue a run of a workflow by its name; the options win over the blocks around."""
    with surroundings(options):
        return WorkflowHandle(
            blocking(ours.enqueue, options["queue_name"], target_of(options), *args, **kwargs)  # type: ignore[arg-type]
        )


async def enqueue_workflow_with_options_async(
    options: EnqueueOptions, *args: Any, **kwargs: Any
) -> WorkflowHandleAsync[Any]:
    """Async twin of ``enqueue_workflow_with_options``."""
    with surroundings(options):
        return WorkflowHandleAsync(
            await ours.aenqueue(options["queue_name"], target_of(options), *args, **kwargs)  # type: ignore[arg-type]
        )
