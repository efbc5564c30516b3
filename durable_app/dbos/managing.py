"""The verbs of operators; inside a workflow each is a recorded step."""

from typing import Any, TypedDict, Unpack

from durable_app import public as ours
from durable_app.dbos import executors, times
from durable_app.dbos.pairs import Given, given, handling, handling_all, plain, shown, unused
from durable_app.dbos.status import seed_status_or_none, seed_statuses, seed_steps
from durable_app.store import listing


@plain(ours.cancel_workflow, ours.acancel_workflow)
def cancel_workflow(
    workflow_id: str, *, cancel_children: bool = False, shard_key: str | None = None
) -> Given:
    """Cancel a run that has not ended, and its descendants if asked; an unknown id is passed over."""
    unused(shard_key=shard_key)
    return given(workflow_id, cancel_children=cancel_children)


@plain(ours.cancel_workflows, ours.acancel_workflows)
def cancel_workflows(
    workflow_ids: list[str], *, cancel_children: bool = False, shard_key: str | None = None
) -> Given:
    """Cancel several runs."""
    unused(shard_key=shard_key)
    return given(workflow_ids, cancel_children=cancel_children)


@handling(ours.resume_workflow, ours.aresume_workflow)
def resume_workflow(
    workflow_id: str, *, queue_name: str | None = None, shard_key: str | None = None
) -> Given:
    """Let a cancelled or dead-lettered run go on after its last recorded step."""
    unused(shard_key=shard_key)
    return given(workflow_id, queue_name=queue_name)


@handling_all(ours.resume_workflows, ours.aresume_workflows)
def resume_workflows(
    workflow_ids: list[str], *, queue_name: str | None = None, shard_key: str | None = None
) -> Given:
    """Resume several runs, all or (if one does not exist) none."""
    unused(shard_key=shard_key)
    return given(workflow_ids, queue_name=queue_name)


class RewindOptions(TypedDict, total=False):
    """Where, and by which version, a history is run again."""

    application_version: str | None
    queue_name: str | None
    queue_partition_key: str | None
    shard_key: str | None


class ForkOptions(RewindOptions, total=False):
    """How a fork may differ from its original."""

    replacement_children: dict[str, str] | None
    timeout_seconds: float | None


@handling(ours.fork_workflow, ours.afork_workflow)
def fork_workflow(workflow_id: str, start_step: int, **options: Unpack[ForkOptions]) -> Given:
    """Run a history again under a new id, from ``start_step`` on."""
    unused(shard_key=options.pop("shard_key", None))
    return given(workflow_id, start_step, **options)


@handling(ours.fork_workflow, ours.afork_workflow)
def restart_workflow(workflow_id: str) -> Given:
    """Run a workflow again from its beginning, under a new id."""
    return given(workflow_id, 1)


@handling(ours.rewind_workflow, ours.arewind_workflow)
def rewind_workflow(
    workflow_id: str, *, start_step: int | None = None, **options: Unpack[RewindOptions]
) -> Given:
    """Run a finished run again under its own id, from ``start_step`` (the first) on."""
    unused(shard_key=options.pop("shard_key", None))
    return given(workflow_id, 1 if start_step is None else start_step, **options)


def _nothing(found: int | None) -> None:
    return None


@shown(ours.delete_workflow, ours.adelete_workflow, _nothing)
def delete_workflow(
    workflow_id: str, *, delete_children: bool = False, shard_key: str | None = None
) -> Given:
    """Delete a run with all that belongs to it; an unknown id is passed over."""
    unused(shard_key=shard_key)
    return given(workflow_id, delete_children=delete_children)


@shown(ours.delete_workflows, ours.adelete_workflows, _nothing)
def delete_workflows(
    workflow_ids: list[str], *, delete_children: bool = False, shard_key: str | None = None
) -> Given:
    """Delete several runs."""
    unused(shard_key=shard_key)
    return given(workflow_ids, delete_children=delete_children)


# Looking


@shown(ours.get_workflow_status, ours.aget_workflow_status, seed_status_or_none)
def get_workflow_status(workflow_id: str, *, shard_key: str | None = None) -> Given:
    """Return a run's status, None if there is no such run."""
    unused(shard_key=shard_key)
    return given(workflow_id)


@shown(ours.list_workflow_steps, ours.alist_workflow_steps, seed_steps)
def list_workflow_steps(
    workflow_id: str,
    *,
    load_output: bool = True,
    limit: int | None = None,
    offset: int | None = None,
    shard_key: str | None = None,
) -> Given:
    """Return a run's recorded steps in order."""
    unused(shard_key=shard_key)
    first = offset or 0
    page = slice(first, None if limit is None else first + limit)
    return given(workflow_id, load_output=load_output)._replace(then=lambda steps: steps[page])


Names = str | list[str] | None


class Filters(TypedDict, total=False):
    """Which runs are wanted; times are RFC 3339 texts, or datetimes."""

    workflow_ids: list[str] | None
    workflow_id_prefix: Names
    status: Names
    name: Names
    queue_name: Names
    app_version: Names
    user: Names
    executor_id: Names
    schedule_name: Names
    parent_workflow_id: Names
    has_parent: bool | None
    forked_from: Names
    is_fork: bool | None
    was_forked_from: bool | None
    queues_only: bool
    attributes: dict[str, Any] | None
    start_time: str | None
    end_time: str | None
    completed_after: str | None
    completed_before: str | None
    dequeued_after: str | None
    dequeued_before: str | None
    limit: int | None
    offset: int | None
    sort_desc: bool
    load_input: bool
    load_output: bool
    application_name: Names
    shard_key: str | None
    parent_shard_key: str | None


_UNTIL = ("end_time", "completed_before", "dequeued_before")


def _translated(filters: Filters) -> dict[str, Any]:
    """Return our filters; one application has a database here, so its name selects nothing."""
    found: dict[str, Any] = dict(filters)
    found.pop("application_name", None)
    unused(**{name: found.pop(name, None) for name in ("shard_key", "parent_shard_key")})
    for name in _UNTIL:
        until = listing.moment(name, found.get(name))
        found[name] = None if until is None else times.end_of_millisecond(until)
    if found.get("executor_id") is not None:
        found["worker"] = executors.workers(found["executor_id"])
    found.pop("executor_id", None)
    return {**found, "hides_default_queue": True}


@shown(ours.list_workflows, ours.alist_workflows, seed_statuses)
def list_workflows(**filters: Unpack[Filters]) -> Given:
    """Return runs, oldest first; filters are combined with AND, the alternatives of one with OR."""
    return given(**_translated(filters))


@shown(ours.list_queued_workflows, ours.alist_queued_workflows, seed_statuses)
def list_queued_workflows(**filters: Unpack[Filters]) -> Given:
    """Return runs that stand in a queue or run from it."""
    return given(**_translated(filters))


@plain(ours.update_workflow_attributes, ours.aupdate_workflow_attributes)
def update_workflow_attributes(
    workflow_id: str,
    attributes: dict[str, Any] | None,
    *,
    merge: bool = False,
    shard_key: str | None = None,
) -> Given:
    """Replace a run's attributes (None clears them), or merge these into them."""
    unused(shard_key=shard_key)
    return given(workflow_id, attributes, merge=merge)
