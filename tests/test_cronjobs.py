"""A project's CRONJOBS become schedules; what they call is told by the settings alone."""

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from durable_app import (
    InvalidOptionError,
    Status,
    WorkflowError,
    create_schedule,
    get_schedule,
    list_schedules,
    pause_schedule,
    trigger_schedule,
)
from durable_app.cronjobs import CronJob, host_zone, jobs_in, listed
from durable_app.models import Schedule, Workflow
from durable_app.worker.worker import Worker
from durable_app.workflows import CRONJOB
from tests.helpers import status, step_names, wait_for_status, wait_until
from tests.shop.models import Effect
from tests.shop.punctual import strike

STRUCK = "tests.shop.punctual.struck"
STRUCK_WITH = "tests.shop.punctual.struck_with"
CRACKED = "tests.shop.punctual.cracked"

Lines = list[tuple[Any, ...]]


def read(settings: Any, *lines: Any) -> list[CronJob]:
    settings.CRONJOBS = list(lines)
    return jobs_in("CRONJOBS")


def imported(*arguments: str) -> tuple[str, str]:
    """Run the command; return what it said and what it complained of."""
    said, complained = io.StringIO(), io.StringIO()
    call_command("durable_import_crontab", "--timezone", "UTC", *arguments, stdout=said, stderr=complained)
    return said.getvalue(), complained.getvalue()


def names() -> list[str]:
    return [one.schedule_name for one in list_schedules()]


# Reading the setting


def test_every_form_of_django_crontab_is_read(settings: Any) -> None:
    """Its two formats: a redirect beside the path, or after arguments and keyword arguments."""
    assert read(
        settings,
        ("0 3 * * *", STRUCK),
        ("0 3 * * *", STRUCK, ">> /tmp/log 2>&1"),
        ["0 3 * * *", STRUCK_WITH, ["a"]],
        ("0 3 * * *", STRUCK_WITH, ["a"], {"times": 2}),
        ("0 3 * * *", STRUCK_WITH, ("a",), {"times": 2}, "> /dev/null"),
        ("* * * * *", "durable_app.cron.tick"),
    ) == [
        CronJob(cron="0 3 * * *", path=STRUCK),
        CronJob(cron="0 3 * * *", path=STRUCK, redirect=">> /tmp/log 2>&1"),
        CronJob(cron="0 3 * * *", path=STRUCK_WITH, args=("a",)),
        CronJob(cron="0 3 * * *", path=STRUCK_WITH, args=("a",), kwargs={"times": 2}),
        CronJob(cron="0 3 * * *", path=STRUCK_WITH, args=("a",), kwargs={"times": 2}, redirect="> /dev/null"),
    ]


@pytest.mark.parametrize(
    "line",
    ["0 3 * * *", ("0 3 * * *",), (3, STRUCK), ("0 3 * * *", "struck"), ("0 3 * * *", STRUCK, 5), ("a",) * 6],
)
def test_what_is_no_job_is_refused_with_its_place(settings: Any, line: Any) -> None:
    """The setting's name, and which line of it."""
    settings.CRONJOBS = [("0 3 * * *", STRUCK), line]
    with pytest.raises(InvalidOptionError, match=r"CRONJOBS\[1\] is no job"):
        jobs_in("CRONJOBS")


def test_a_job_is_found_by_its_key_in_every_list_of_jobs(settings: Any) -> None:
    """Also in one that cron does not read; in no other setting, and not once it is gone."""
    (plain, given) = read(settings, ("0 3 * * *", STRUCK), ("0 4 * * *", STRUCK_WITH, ["a"]))
    assert listed(STRUCK) == plain
    assert listed(given.key) == given
    assert given.key.startswith(f"{STRUCK_WITH}-")
    settings.CRONJOBS = []
    settings.IMPORTED_CRONJOBS = [("0 3 * * *", STRUCK)]
    settings.OTHER_JOBS = [("0 4 * * *", STRUCK_WITH, ["a"])]
    settings.BROKEN_CRONJOBS = {"0 4 * * *": STRUCK}
    assert listed(STRUCK) == plain
    for key in (given.key, "os.abort", ""):
        with pytest.raises(InvalidOptionError, match="lists the job"):
            listed(key)


def test_the_hosts_zone_is_that_of_its_clock(tmp_path: Path) -> None:
    """Cron goes by it, whatever TIME_ZONE says."""
    zones = tmp_path / "usr" / "share" / "zoneinfo" / "Asia"
    zones.mkdir(parents=True)
    (zones / "Tokyo").touch()
    (tmp_path / "localtime").symlink_to(zones / "Tokyo")
    assert host_zone(tmp_path / "localtime") == "Asia/Tokyo"
    assert host_zone(tmp_path / "nothing") == "UTC"


# Importing


@pytest.mark.django_db
def test_each_job_becomes_a_schedule(settings: Any) -> None:
    """With its expression, in cron's zone; our own line is left out, and what cannot be done is said."""
    settings.CRONJOBS = [
        ("* * * * *", "durable_app.cron.tick"),
        ("0 3 * * *", STRUCK, ">> /tmp/log"),
        ("@daily", STRUCK_WITH, ["a"]),
        ("*/5 * * * *", STRUCK_WITH, ["b"]),
        ("@reboot", CRACKED),
        ("0 4 * * *", "django.core.management.call_command", ["check"]),
    ]
    said, complained = imported()
    found = {one.schedule_name: one for one in list_schedules()}
    assert found.keys() == {
        f"cronjob:{STRUCK}",
        f"cronjob:{STRUCK_WITH}",
        f"cronjob:{STRUCK_WITH}-2",
        "cronjob:django.core.management.call_command",
    }
    assert {one.workflow_name for one in found.values()} == {CRONJOB}
    assert found[f"cronjob:{STRUCK_WITH}-2"].schedule == "*/5 * * * *"
    assert {one.cron_timezone for one in found.values()} == {"UTC"}
    assert {one.overlap for one in found.values()} == {"allow"}
    assert f"cronjob:{STRUCK} scheduled: 0 3 * * * (UTC)" in said
    assert "Cron still runs these jobs" in said
    assert "cannot redirect its output (>> /tmp/log)" in complained
    assert f"Left out: {CRACKED}" in complained


@pytest.mark.django_db
def test_a_dry_run_only_says_so(settings: Any) -> None:
    """Not a row is written."""
    settings.CRONJOBS = [("0 3 * * *", STRUCK)]
    said, _ = imported("--dry-run")
    assert f"cronjob:{STRUCK} would be scheduled: 0 3 * * * (UTC)" in said
    assert not Schedule.objects.exists()


@pytest.mark.django_db
def test_run_again_it_follows_the_setting(settings: Any) -> None:
    """What has changed changes, what is gone goes; other schedules, and a pause, stay."""
    create_schedule(schedule_name="own", workflow_fn=strike, schedule="0 0 * * *")
    settings.CRONJOBS = [("0 3 * * *", STRUCK), ("0 4 * * *", CRACKED)]
    imported()
    pause_schedule(f"cronjob:{STRUCK}")
    before = Schedule.objects.get(name=f"cronjob:{STRUCK}").pk
    settings.CRONJOBS = [("30 3 * * *", STRUCK)]
    settings.CRONTAB_LOCK_JOBS = True
    said, _ = imported()
    assert names() == [f"cronjob:{STRUCK}", "own"]
    row = Schedule.objects.get(name=f"cronjob:{STRUCK}")
    assert (row.pk, row.cron, row.status, row.overlap) == (before, "30 3 * * *", "PAUSED", "skip")
    assert f"cronjob:{CRACKED} deleted" in said


@pytest.mark.django_db
def test_remove_deletes_what_was_imported_and_nothing_else(settings: Any) -> None:
    """After a look, with --dry-run, at what that would be."""
    create_schedule(schedule_name="own", workflow_fn=strike, schedule="0 0 * * *")
    settings.CRONJOBS = [("0 3 * * *", STRUCK)]
    imported()
    said, _ = imported("--remove", "--dry-run")
    assert f"cronjob:{STRUCK} would be deleted" in said
    assert len(names()) == 2
    imported("--remove")
    assert names() == ["own"]


BAD: list[tuple[Lines, str]] = [
    ([("61 * * * *", STRUCK)], "'61' is no minute"),
    ([("0 3 * * *", "tests.shop.punctual.nothing")], "does not define"),
    ([("0 3 * * *", "nowhere.at.all")], "No module named"),
    ([("0 3 * * *",)], "is no job"),
    ([], "lists no job"),
]


@pytest.mark.django_db
@pytest.mark.parametrize(("lines", "sentence"), BAD)
def test_a_bad_line_imports_nothing(settings: Any, lines: Lines, sentence: str) -> None:
    """Neither it nor the good ones beside it."""
    settings.CRONJOBS = [("0 3 * * *", CRACKED), *lines] if lines else []
    with pytest.raises(CommandError, match=sentence):
        imported()
    assert not Schedule.objects.exists()


@pytest.mark.django_db
def test_only_a_setting_that_is_looked_at_can_be_imported(settings: Any) -> None:
    """Its name ends in CRONJOBS; a zone must be one."""
    settings.JOBS = settings.OLD_CRONJOBS = [("0 3 * * *", STRUCK)]
    with pytest.raises(CommandError, match="must end in CRONJOBS"):
        imported("--settings-name", "JOBS")
    with pytest.raises(CommandError, match="no time zone"):
        imported("--settings-name", "OLD_CRONJOBS", "--timezone", "Mars/Olympus")
    said, _ = imported("--settings-name", "OLD_CRONJOBS")
    assert names() == [f"cronjob:{STRUCK}"]
    assert "Cron still runs" not in said


# Running


@pytest.mark.django_db(transaction=True)
def test_an_imported_job_calls_its_function_as_one_step(settings: Any) -> None:
    """With the arguments that the settings give it; at its ticks, like any schedule."""
    settings.CRONJOBS = [("* * * * * *", STRUCK_WITH, ["bim"], {"times": 2}), ("0 3 * * *", STRUCK)]
    imported()
    handle = trigger_schedule(f"cronjob:{STRUCK}")
    with Worker(threads=2):
        handle.get_result(timeout=45)
        ticked = f"cronjob:{STRUCK_WITH}"
        first = wait_for_first(ticked)
        wait_for_status(first, Status.SUCCESS)
    assert step_names(handle.workflow_id) == [(1, "durable.callCronjob")]
    assert Effect.objects.filter(step="struck").count() == 1
    assert Effect.objects.filter(step="bim").count() >= 2


def wait_for_first(name: str) -> str:
    runs = Workflow.objects.filter(schedule_name=name)
    wait_until(runs.exists)
    return str(runs.earliest("pk").workflow_id)


@pytest.mark.django_db(transaction=True)
def test_a_management_command_runs_as_a_job(settings: Any) -> None:
    """As many projects have it in their CRONJOBS."""
    command = "django.core.management.call_command"
    settings.CRONJOBS = [("0 3 * * *", command, ["clearsessions"], {"verbosity": 0})]
    imported()
    handle = trigger_schedule(f"cronjob:{command}")
    with Worker(threads=1):
        assert handle.get_result(timeout=45) is None


@pytest.mark.django_db(transaction=True)
def test_a_job_that_fails_ends_in_error_and_is_not_lost_in_a_log(settings: Any) -> None:
    """Its run shows what it raised."""
    settings.CRONJOBS = [("0 3 * * *", CRACKED)]
    imported()
    handle = trigger_schedule(f"cronjob:{CRACKED}")
    with Worker(threads=1), pytest.raises(ValueError, match="cracked"):
        handle.get_result(timeout=45)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("key", ["os.abort", STRUCK_WITH, "tests.shop.punctual.struck_with-0123"])
def test_stored_text_calls_nothing_that_the_settings_do_not_list(settings: Any, key: str) -> None:
    """F76. Whoever can write a row chooses among listed jobs, at most: nothing else is even imported."""
    settings.CRONJOBS = [("0 3 * * *", STRUCK)]
    create_schedule(schedule_name="evil", workflow_fn=CRONJOB, schedule="0 3 * * *", context=key)
    handle = trigger_schedule("evil")
    with Worker(threads=1), pytest.raises((InvalidOptionError, WorkflowError), match="lists the job"):
        handle.get_result(timeout=45)
    assert status(handle.workflow_id) == Status.ERROR
    assert not Effect.objects.exists()


@pytest.mark.django_db
def test_the_next_tick_is_when_cron_would_have_called(settings: Any) -> None:
    """In the zone that is given."""
    settings.CRONJOBS = [("30 2 * * *", STRUCK)]
    imported("--timezone", "Asia/Tokyo")
    schedule = get_schedule(f"cronjob:{STRUCK}")
    assert schedule is not None
    assert schedule.next_at is not None
    assert schedule.next_at.astimezone(UTC).time() == datetime(2025, 1, 1, 17, 30, tzinfo=UTC).time()
    assert schedule.next_at - schedule.created_at <= timedelta(days=1)
