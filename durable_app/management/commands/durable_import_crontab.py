"""``manage.py durable_import_crontab``: turn the jobs of django-crontab into schedules."""

from collections import Counter
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.module_loading import import_string

from durable_app import cronjobs
from durable_app.cronjobs import CronJob
from durable_app.errors import DurableError
from durable_app.recurrence import Recurrence
from durable_app.schedules import apply_schedules, delete_schedule, list_schedules
from durable_app.scheduling import ScheduleInput
from durable_app.workflows import CRONJOB, cronjob

PREFIX = "cronjob:"

NEXT = """
Cron still runs these jobs, too, until its table is written anew. Give the list another name that ends in
CRONJOBS (it stays the list of what may be called), say IMPORTED_CRONJOBS, and run `manage.py crontab add`
with CRONJOBS = [("* * * * *", "durable_app.cron.tick")]; or, with a worker, `manage.py crontab remove`.
"""


class Command(BaseCommand):
    help = (
        "Makes a schedule of each job in CRONJOBS; run again, it follows what has changed there. "
        "A schedule calls only what the settings still list."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--settings-name",
            default="CRONJOBS",
            help="The setting to read; its name ends in CRONJOBS (default: %(default)s).",
        )
        parser.add_argument(
            "--timezone",
            default=cronjobs.host_zone(),
            help="The zone that cron goes by (default: this host's, %(default)s).",
        )
        parser.add_argument("--dry-run", action="store_true", help="Only say what would be done.")
        parser.add_argument(
            "--remove", action="store_true", help="Delete all schedules made by this command."
        )

    def handle(self, **options: Any) -> None:
        if not options["settings_name"].endswith(cronjobs.SUFFIX):
            raise CommandError(f"The setting's name must end in {cronjobs.SUFFIX}: others are not looked at.")
        try:
            wanted = [] if options["remove"] else self._wanted(options["settings_name"], options["timezone"])
            self._make(wanted, dry_run=options["dry_run"])
        except DurableError as error:
            raise CommandError(str(error)) from error
        if wanted and options["settings_name"] == "CRONJOBS":
            self.stdout.write(NEXT)

    def _wanted(self, setting: str, zone: str) -> list[ScheduleInput]:
        found = cronjobs.jobs_in(setting)
        if not found:
            raise CommandError(
                f"{setting} lists no job (but our own): use --remove to delete what was imported."
            )
        seen: Counter[str] = Counter()
        wanted = []
        for job in found:
            if job.cron.strip() == "@reboot":
                self.stderr.write(f"Left out: {job.path} is to run @reboot, which is no time.")
                continue
            seen[job.path] += 1
            number = f"-{seen[job.path]}" if seen[job.path] > 1 else ""
            wanted.append(self._input(job, f"{PREFIX}{job.path}{number}", zone))
        return wanted

    def _input(self, job: CronJob, name: str, zone: str) -> ScheduleInput:
        try:
            import_string(job.path)
            Recurrence(job.cron, zone)
        except (ImportError, DurableError) as error:
            raise CommandError(f"{job.path}: {error}") from error
        if job.redirect:
            self.stderr.write(f"{job.path}: a worker cannot redirect its output ({job.redirect}).")
        return ScheduleInput(
            schedule_name=name,
            workflow_fn=cronjob,
            schedule=job.cron,
            cron_timezone=zone,
            context=job.key,
            overlap="skip" if getattr(settings, "CRONTAB_LOCK_JOBS", False) else "allow",
        )

    def _make(self, wanted: list[ScheduleInput], *, dry_run: bool) -> None:
        names = {one["schedule_name"] for one in wanted}
        imported = [one.schedule_name for one in list_schedules(workflow_name=CRONJOB)]
        stale = [name for name in imported if name.startswith(PREFIX) and name not in names]
        if not dry_run:
            apply_schedules(wanted)
            for name in stale:
                delete_schedule(name)
        would = "would be " if dry_run else ""
        for one in wanted:
            self.stdout.write(
                f"{one['schedule_name']} {would}scheduled: {one['schedule']} ({one['cron_timezone']})"
            )
        for name in stale:
            self.stdout.write(f"{name} {would}deleted")
