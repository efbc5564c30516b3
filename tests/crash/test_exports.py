"""A worker is killed in the middle of a file: of a part of a long export, and of the export itself."""

import csv
import io
import signal
from pathlib import Path
from typing import Any

import pytest

from durable_app import exporting
from durable_app.control.actors import Actor
from durable_app.control.operator import Operator
from durable_app.models import BulkOperation
from durable_app.worker.worker import Worker
from tests.helpers import wait_until
from tests.processes import Program, project_env, write_settings
from tests.test_admin.pages import made

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(180)]

DYING = """
import os, signal
from pathlib import Path
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from durable_app import exporting

exporting.BATCH, exporting.PAGES = 2, 2

class Dying(FileSystemStorage):
    def _save(self, name, content):
        note = Path(__file__).parent.with_name("died-in")
        died = note.read_text() if note.exists() else ""
        for fatal in ("part-000001", "runs-"):
            if fatal in name and fatal not in died:
                note.write_text(died + fatal)
                super()._save(name, ContentFile(content.read(20)))
                os.kill(os.getpid(), signal.SIGKILL)
        return super()._save(name, content)
"""


def test_a_killed_export_goes_on_and_the_file_is_whole(
    tmp_path: Path, worker_env: dict[str, str], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers die, each with half a file on the disk; a third one ends it."""
    place = str(tmp_path / "files")
    app = tmp_path / "dying"
    app.mkdir()
    (app / "__init__.py").touch()
    (app / "workflows.py").write_text(DYING)
    described = f'{{"BACKEND": "dying.workflows.Dying", "OPTIONS": {{"location": {place!r}}}}}'
    write_settings(
        tmp_path,
        'INSTALLED_APPS = [*INSTALLED_APPS, "dying"]',
        "from django.conf.global_settings import STORAGES",
        f'STORAGES = {{**STORAGES, "durable": {described}}}',
    )
    runs = [made("ERROR") for _ in range(9)]
    number = exporting.begin(Operator(actor=Actor.at_terminal("me")), {"status": ["ERROR"]}, "csv")

    for attempt in range(2):
        env = {**worker_env, **project_env(tmp_path)}
        victim = Program(("durable_worker",), env, tmp_path / f"worker-{attempt}.log")
        try:
            assert victim.ended() == -signal.SIGKILL, victim.output
        finally:
            victim.kill()
        assert not BulkOperation.objects.get().file
    assert (tmp_path / "died-in").read_text() == "part-000001runs-"

    monkeypatch.setattr(exporting, "BATCH", 2)
    monkeypatch.setattr(exporting, "PAGES", 2)
    storage = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": place}}
    settings.STORAGES = {**settings.STORAGES, "durable": storage}
    with Worker(threads=1):
        wait_until(lambda: BulkOperation.objects.get().finished_at)
    operation = BulkOperation.objects.get(pk=number)
    text = b"".join(exporting.pieces(operation)).decode()
    found = [row["workflow_id"] for row in csv.DictReader(io.StringIO(text))]
    assert found == [run.workflow_id for run in reversed(runs)]
    assert [path for path in Path(place).rglob("*") if path.is_file()] == [Path(place) / operation.file]
