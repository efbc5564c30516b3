"""What the page shows: the last reading of the folder, file by file."""

from dataclasses import dataclass

from demo_project.ingestion.models import Document
from durable_app import Progress, Status, WorkflowStatus, get_progress, list_workflows

WORDS = {
    Status.ENQUEUED: "in line",
    Status.DELAYED: "in line",
    Status.PENDING: "being read",
    Status.WAITING: "being read",
    Status.SUCCESS: "read",
    Status.ERROR: "cannot be read",
}
UNFINISHED = frozenset({Status.ENQUEUED, Status.DELAYED, Status.PENDING, Status.WAITING})


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """A file of the reading, and what has become of it."""

    path: str
    title: str
    state: str
    status: str
    passages: int | None

    @property
    def pill(self) -> str:
        """Return the class of its mark on the page."""
        kinds = {Status.SUCCESS: "good", Status.PENDING: "live", Status.WAITING: "live", Status.ENQUEUED: ""}
        return kinds.get(Status(self.status), "bad")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """One run over the folder."""

    workflow_id: str
    headline: str
    percent: int
    finished: bool
    failed: bool
    files: list[File]


def last_reading() -> Reading | None:
    """Return the last run over the folder, None if there was none."""
    runs = list_workflows(name="ingest_folder", sort_desc=True, limit=1)
    return _reading(runs[0]) if runs else None


def _reading(run: WorkflowStatus) -> Reading:
    progress = get_progress(run.workflow_id)
    return Reading(
        workflow_id=run.workflow_id,
        headline=_headline(run, progress),
        percent=round(100 * (progress.share or 0)) if progress else 0,
        finished=run.status not in UNFINISHED,
        failed=run.status not in UNFINISHED | {Status.SUCCESS},
        files=_files(run.workflow_id),
    )


def _headline(run: WorkflowStatus, progress: Progress | None) -> str:
    if run.status == Status.SUCCESS:
        unreadable = run.output["unreadable"]
        return f"{run.output['read']} texts read" + (f", {unreadable} could not be." if unreadable else ".")
    if run.status not in UNFINISHED:
        return "The folder could not be read."
    if progress is None:
        return "Waiting for a worker."
    return f"{progress.done:.0f} of {progress.total:.0f} texts read."


def _files(run_id: str) -> list[File]:
    runs = list_workflows(parent_workflow_id=run_id)
    titles = dict(Document.objects.values_list("path", "title"))
    return [_file(run, titles) for run in runs]


def _file(run: WorkflowStatus, titles: dict[str, str]) -> File:
    _, path = run.input["args"]
    return File(
        path=path,
        title=titles.get(path, ""),
        state=WORDS.get(Status(run.status), "given up"),
        status=run.status,
        passages=run.output if run.status == Status.SUCCESS else None,
    )
