"""The verbs of versions, and the version that a project computes from its sources."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import ImproperlyConfigured

from durable_app import (
    InvalidOptionError,
    NonExistentVersionError,
    SetWorkflowID,
    VersionInfo,
    aget_latest_application_version,
    alist_application_versions,
    amove_to_application_version,
    application_version,
    aset_latest_application_version,
    get_latest_application_version,
    get_result,
    get_workflow_status,
    list_application_versions,
    move_to_application_version,
    set_latest_application_version,
    start_workflow,
    workflow,
)
from durable_app.conf import Options
from durable_app.engine.versions import loaded_hash, source_hash
from durable_app.registry import TEMPORARY, Definition, registry
from durable_app.store import versions
from durable_app.worker.worker import Worker
from tests.helpers import execute_again, step_names
from tests.processes import ROOT, project_env, write_settings


@workflow(name="versions.asks")
def asks() -> list[Any]:
    latest = get_latest_application_version()
    set_latest_application_version("1")
    return [
        latest.version_name,
        [one.version_name for one in list_application_versions()],
        move_to_application_version("0", None),
    ]


@workflow(name="versions.aasks")
async def aasks() -> list[Any]:
    latest = await aget_latest_application_version()
    await aset_latest_application_version("1")
    return [
        latest.version_name,
        [one.version_name for one in await alist_application_versions()],
        await amove_to_application_version("0", None),
    ]


STEPS = [
    (1, "durable.getLatestApplicationVersion"),
    (2, "durable.setLatestApplicationVersion"),
    (3, "durable.listApplicationVersions"),
    (4, "durable.moveToApplicationVersion"),
]


@pytest.mark.django_db
def test_the_verbs_outside_of_workflows() -> None:
    """252. The latest first; the values have names, ids and both times."""
    versions.register("1")
    versions.register("2")
    found = list_application_versions()
    assert [one.version_name for one in found] == ["2", "1"]
    assert all(isinstance(one, VersionInfo) for one in found)
    assert found[0] == get_latest_application_version()
    set_latest_application_version("1")
    moved = get_latest_application_version()
    assert (moved.version_name, moved.version_id) == ("1", found[1].version_id)
    assert moved.created_at == found[1].created_at < moved.latest_at


@pytest.mark.django_db
def test_there_may_be_no_version() -> None:
    """252. The latest of none is an error, a list of none is empty."""
    assert list_application_versions() == []
    with pytest.raises(NonExistentVersionError, match="APP_VERSION"):
        get_latest_application_version()
    with pytest.raises(NonExistentVersionError, match="'3'"):
        set_latest_application_version("3")
    with pytest.raises(NonExistentVersionError):
        async_to_sync(aget_latest_application_version)()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("function", [asks, aasks])
def test_in_a_workflow_the_verbs_are_steps(function: Any) -> None:
    """106, 252. A replay tells what was recorded, and does nothing again."""
    versions.register("1")
    versions.register("2")
    with Worker(threads=1):
        with SetWorkflowID("run"):
            assert start_workflow(function).get_result(timeout=60) == ["2", ["1", "2"], 0]
        assert step_names("run") == STEPS
        versions.set_latest("2")
        execute_again("run")
        assert get_result("run", timeout=60) == ["2", ["1", "2"], 0]
        assert get_latest_application_version().version_name == "2"


@pytest.mark.parametrize("name", ["", " ", "x" * 256, "a\x00b"])
def test_a_name_that_can_be_no_versions_is_refused(name: str) -> None:
    """297. Runs are not moved where nothing can take them."""
    with pytest.raises(InvalidOptionError, match="version's name"):
        move_to_application_version("1", name)


# The setting


def test_the_version_is_the_settings(settings: Any) -> None:
    """251. Empty by default: runs are not pinned."""
    assert application_version() == ""
    settings.DURABLE = {"APP_VERSION": "2026.11"}
    assert application_version() == "2026.11"


@pytest.mark.django_db
def test_runs_are_stamped_with_the_computed_version(settings: Any) -> None:
    """189, 251. "auto" is never stored as such."""
    settings.DURABLE = {"APP_VERSION": "auto"}
    assert application_version() == loaded_hash()
    found = get_workflow_status(start_workflow(asks).workflow_id)
    assert found is not None
    assert found.app_version == loaded_hash()
    assert len(loaded_hash()) == 16


@pytest.mark.parametrize("name", ["x" * 256, " 1", "1\n"])
def test_a_version_that_cannot_be_stored_or_compared_is_refused(settings: Any, name: str) -> None:
    """251. By the settings, before anything runs."""
    settings.DURABLE = {"APP_VERSION": name}
    with pytest.raises(ImproperlyConfigured, match="APP_VERSION"):
        Options.from_settings()


# The computed version


def definition(name: str, func: Any) -> Definition:
    return Definition(name=name, func=func, is_async=False)


def one() -> int:
    return 1


def other() -> int:
    return 2


class Indented:
    def one(self) -> int:
        return 1


def test_names_and_sources_count() -> None:
    """251. And nothing else: not the order, not the process."""
    both = [definition("a", one), definition("b", other)]
    found = source_hash(both)
    assert source_hash(reversed(both)) == found
    assert source_hash([definition("a", one), definition("c", other)]) != found
    assert source_hash([definition("a", one), definition("b", one)]) != found
    assert source_hash(both[:1]) != found


def test_steps_do_not_count() -> None:
    """251. What a step does may change without a run noticing."""
    found = source_hash([definition("a", one)])
    assert source_hash([definition("a", one), definition(f"{TEMPORARY}b", other)]) == found


def test_a_function_without_a_source_counts_by_its_code() -> None:
    """251. Typed at a prompt, or shipped compiled."""
    made: list[Any] = []
    for number, text in enumerate(("def f(): return a", "def f(): return b", "def f(): return a")):
        space: dict[str, Any] = {}
        exec(compile(text, f"<typed {number}>", "exec"), space)
        made.append(source_hash([definition("f", space["f"])]))
    assert made[0] == made[2] != made[1]
    assert source_hash([definition("f", SimpleNamespace())])


def test_what_is_registered_later_does_not_count() -> None:
    """251. Another process might never import it."""

    @workflow(name="versions.late")
    def late() -> None:
        """Do nothing."""

    loaded = {found.name for found in registry.loaded}
    assert "versions.late" in registry.workflows
    assert "versions.late" not in loaded
    assert "releases.stamped" in loaded


PROGRAM = (
    "import django; django.setup(); from durable_app import application_version; print(application_version())"
)


def computed(folder: Path, env: dict[str, str], **more: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=folder,
        env={**env, **project_env(folder), "PYTHONPATH": f"{folder}:{ROOT}", **more},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip()


def write_workflow(folder: Path, body: str) -> None:
    package = folder / "releasing"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").touch()
    (package / "workflows.py").write_text(
        f"from durable_app import workflow\n\n\n@workflow\ndef released():\n    {body}\n"
    )


def test_the_computed_version_is_the_same_in_every_process(
    tmp_path: Path, worker_env: dict[str, str]
) -> None:
    """251. Whatever the hash seed and the folder; it changes with a workflow, and back."""
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        write_settings(folder, "INSTALLED_APPS += ['releasing']", "DURABLE = {'APP_VERSION': 'auto'}")
        write_workflow(folder, "return 1")
    first = computed(folders[0], worker_env, PYTHONHASHSEED="1")
    assert len(first) == 16
    assert computed(folders[1], worker_env, PYTHONHASHSEED="2") == first
    write_workflow(folders[1], "return 2")
    assert computed(folders[1], worker_env) != first
    write_workflow(folders[1], "return 1")
    assert computed(folders[1], worker_env) == first
