"""Exports that are too long for a request: a workflow writes them, and a file is there once it is whole."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from durable_app import InvalidOptionError, PermissionDeniedError, cancel_workflow, clock, exporting
from durable_app.control.actors import Actor, Policy
from durable_app.control.operator import Operator
from durable_app.models import AuditEvent, BulkOperation, Status, Workflow
from durable_app.worker.maintenance import FileRetention
from durable_app.worker.worker import Worker
from tests.helpers import wait_until
from tests.test_admin.pages import LIST, made
from tests.test_commands.keyboard import durable

pytestmark = pytest.mark.django_db(transaction=True)

ME = Operator(actor=Actor.at_terminal("me"))

STATUS = {"status": ["ERROR"]}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return where files go; parts are of four runs."""
    monkeypatch.setattr(exporting, "BATCH", 2)
    monkeypatch.setattr(exporting, "PAGES", 2)
    settings.MEDIA_ROOT = str(tmp_path)
    yield tmp_path / "durable" / "exports"


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def finished(number: int) -> BulkOperation:
    wait_until(lambda: BulkOperation.objects.get(pk=number).finished_at)
    return BulkOperation.objects.get(pk=number)


def written(operation: BulkOperation) -> str:
    return b"".join(exporting.pieces(operation)).decode()


def rows(form: str, text: str) -> list[str]:
    if form == "csv":
        return [row["workflow_id"] for row in csv.DictReader(io.StringIO(text))]
    found = json.loads(text) if form == "json" else [json.loads(line) for line in text.splitlines()]
    return [row["workflow_id"] for row in found]


@pytest.mark.parametrize("count", [0, 1, 4, 9])
def test_every_format_is_whole_and_its_parts_are_gone(folder: Path, count: int) -> None:
    """Newest first; what comes later, or does not match, is not in it."""
    runs = [made(Status.ERROR) for _ in range(count)]
    made(Status.SUCCESS)
    numbers = {form: exporting.begin(ME, STATUS, form) for form in ("csv", "json", "ndjson")}
    made(Status.ERROR)
    with Worker(threads=2):
        operations = {form: finished(number) for form, number in numbers.items()}
    for form, operation in operations.items():
        assert rows(form, written(operation)) == [run.workflow_id for run in reversed(runs)], form
        assert (operation.verb, operation.done, operation.matched) == ("export", count, count)
        assert exporting.file_name(operation) == f"runs-{operation.pk}.{form}"
    assert len(files(folder)) == 3


def test_an_interrupted_export_goes_on_with_its_part_and_leaves_nothing_half(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers die in the second part, and in the file: still each run once."""
    runs = [made(Status.ERROR) for _ in range(9)]
    number = exporting.begin(ME, STATUS, "csv")
    storage = exporting.storage()
    saved: list[str] = []

    class Dying:
        """A storage whose process dies at half of a file: of the second part, and of the whole."""

        def __getattr__(self, name: str) -> Any:
            return getattr(storage, name)

        def save(self, name: str, content: Any) -> str:
            saved.append(name)
            if sum(one == name for one in saved) == 1 and ("000001" in name or "runs-" in name):
                half = content.read(20)
                content.seek(0)
                storage.save(name, io.BytesIO(half))
                raise Died
            found: str = storage.save(name, content)
            return found

    class Died(BaseException):
        """Ends the execution as a dying process does: nothing is recorded."""

    monkeypatch.setattr(exporting, "storage", Dying)
    parts: list[str] = []
    below: int | None = None
    while True:
        try:
            name, below = exporting.write_part(number, len(parts), below)
        except Died:
            continue
        parts.append(name)
        if below is None:
            break
    assert not BulkOperation.objects.get().file
    with pytest.raises(Died):
        exporting.put_together(number, parts)
    assert not BulkOperation.objects.get().file, "nobody is given half a file"
    exporting.put_together(number, parts)
    operation = BulkOperation.objects.get()
    assert rows("csv", written(operation)) == [run.workflow_id for run in reversed(runs)]
    assert (operation.done, len(files(folder))) == (9, 1)


def test_a_cancelled_export_leaves_no_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written is deleted, and the operation has ended."""
    for _ in range(9):
        made(Status.ERROR)
    number = exporting.begin(ME, STATUS, "csv")
    operation = BulkOperation.objects.get(pk=number)
    original = exporting.write_part

    def cancelling(number: int, part: int, below: int | None) -> Any:
        if part == 1:
            cancel_workflow(operation.workflow_id)
        return original(number, part, below)

    monkeypatch.setattr(exporting, "write_part", cancelling)
    with Worker(threads=2):
        assert finished(number).file == ""
        wait_until(lambda: not files(folder))
        wait_until(lambda: not Workflow.objects.filter(status__in=("PENDING", "ENQUEUED")).exists())
    assert Workflow.objects.get(workflow_id=operation.workflow_id).status == "CANCELLED"


class Tenants(Policy):
    """People see the runs that bear their name."""

    def visible(self, actor: Actor, runs: Any) -> Any:
        return runs.filter(user=actor.label)


def ann(*codenames: str) -> User:
    user = User.objects.create_user("ann", is_staff=True)
    allowed = Permission.objects.filter(codename__in=("view_workflow", "export_workflow", *codenames))
    user.user_permissions.set(allowed)
    return User.objects.get(pk=user.pk)


def operator_of(user: User) -> Operator:
    return Operator(actor=Actor(kind="user", id=str(user.pk), label=user.username, user=user))


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_it_holds_what_its_reader_may_see_when_it_is_written(settings: Any) -> None:
    """A9. Own runs; payloads with the permission, and redacted."""
    settings.DURABLE = {"POLICY": f"{__name__}.Tenants"}
    made(Status.ERROR, user="bob", inputs='{"args":["bobs"],"kwargs":{}}')
    own = made(Status.ERROR, user="ann", inputs='{"args":["anns"],"kwargs":{"password":"hunter2"}}')
    user = ann("view_payload")
    number = exporting.begin(operator_of(user), STATUS, "json", payloads=True)
    with Worker(threads=1):
        text = written(finished(number))
    assert rows("json", text) == [own.workflow_id]
    assert "anns" in text
    assert "hunter2" not in text


def test_a_permission_that_is_taken_away_ends_it(folder: Path) -> None:
    """A9. Nothing of it stays; the attempt is recorded."""
    made(Status.ERROR)
    user = ann()
    number = exporting.begin(operator_of(user), STATUS, "json")
    user.user_permissions.clear()
    with Worker(threads=1):
        assert finished(number).file == ""
    assert files(folder) == []
    assert AuditEvent.objects.filter(verb="export", outcome="denied", target_id=str(number)).exists()


def test_what_cannot_be_is_refused_before_anything_is_written() -> None:
    """Whatever is wrong with it."""
    with pytest.raises(InvalidOptionError, match="unknown format 'xml'"):
        exporting.begin(ME, STATUS, "xml")
    with pytest.raises(InvalidOptionError, match="unknown filter"):
        exporting.begin(ME, {"colour": "red"}, "csv")
    user = ann()
    with pytest.raises(PermissionDeniedError, match="view_payload"):
        exporting.begin(operator_of(user), STATUS, "csv", payloads=True)
    assert not BulkOperation.objects.exists()


def test_the_list_begins_it_and_its_reader_alone_gets_the_file(settings: Any) -> None:
    """A3, A9. Before it is whole a page says so; to others there is no such file."""
    settings.DURABLE = {"ADMIN": {"EXPORT_LIMIT": 2}}
    runs = [made(Status.ERROR) for _ in range(3)]
    client, boss = browser(ann()), browser(User.objects.create_superuser("boss"))
    assert "written in the background" in client.get(f"{LIST}export/").content.decode()
    assert client.post(f"{LIST}export/?status=ERROR", {"format": "ndjson"}).status_code == 302
    operation = BulkOperation.objects.get()
    url = f"{LIST}exported/{operation.pk}/"
    early = client.get(url)
    assert (early.status_code, "0 runs are written" in early.content.decode()) == (200, True)
    with Worker(threads=1):
        finished(operation.pk)
    response: Any = client.get(url)
    assert response.headers["Content-Disposition"] == f'attachment; filename="runs-{operation.pk}.ndjson"'
    text = b"".join(response.streaming_content).decode()
    assert rows("ndjson", text) == [run.workflow_id for run in reversed(runs)]
    assert AuditEvent.objects.filter(verb="download", outcome="done", actor_label="ann").count() == 1
    assert boss.get(url).status_code == 404, "others may see other runs"
    assert client.get(f"{LIST}exported/{operation.pk + 1}/").status_code == 404
    User.objects.get(username="ann").user_permissions.clear()
    assert client.get(url).status_code == 403
    assert AuditEvent.objects.filter(verb="download", outcome="denied").exists()


def test_a_storage_of_its_own_is_used_if_there_is_one(settings: Any, tmp_path: Path) -> None:
    """Where no web server looks, as the documents recommend."""
    place = {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": tmp_path / "own"},
    }
    settings.STORAGES = {**settings.STORAGES, "durable": place}
    number = exporting.begin(ME, STATUS, "csv")
    with Worker(threads=1):
        finished(number)
    assert [path.name for path in files(tmp_path / "own")] == [f"runs-{number}.csv"]


def ended(minutes_ago: float, file: str = "") -> BulkOperation:
    """Write an export that has ended; with a name, its file too."""
    name = exporting.storage().save(f"durable/exports/{file}", io.BytesIO(b"runs")) if file else ""
    now = clock.now()
    at = now - timedelta(minutes=minutes_ago)
    return BulkOperation.objects.create(
        workflow_id=f"export {minutes_ago}", verb="export", file=name, created_at=at, finished_at=at
    )


def test_files_are_kept_as_long_as_runs(folder: Path, settings: Any) -> None:
    """Workers delete them batch by batch; the operation stays, and tells no more of a file."""
    old = [ended(30 + number, f"old-{number}") for number in range(3)]
    new, without = ended(5, "new"), ended(40)
    service = FileRetention(60.0, timedelta(minutes=10))
    service.batch = 2
    exporting.storage().delete(old[2].file)  # the oldest: by hand, or by one who died before he could note it
    assert [service.tick(), service.tick()] == [service.pause, None]
    assert [path.name for path in files(folder)] == ["new"]
    left = dict(BulkOperation.objects.values_list("pk", "file"))
    assert left == {**{one.pk: "" for one in (*old, without)}, new.pk: new.file}
    assert not any(isinstance(one, FileRetention) for one in Worker(threads=1)._services)
    settings.DURABLE = {"RETENTION": timedelta(days=1)}
    assert any(isinstance(one, FileRetention) for one in Worker(threads=1)._services)


def test_pruning_deletes_files_by_their_age(folder: Path) -> None:
    """`durable prune`: with --older-than, and not by the number of rows."""
    ended(30, "old")
    ended(5, "new")
    assert durable("prune", "--keep-rows", "0", "-o", "json").json["files"] == 0
    assert durable("prune", "--older-than", "10m", "-o", "json").json["files"] == 1
    assert [path.name for path in files(folder)] == ["new"]
    assert AuditEvent.objects.latest("pk").details["files"] == 1
