"""A worker process that dies where it is told to: `python -m tests.crash.victim [options]`.

Without options it is a worker like any other, but short leases (CRASH_LEASE) and traces of losses.
"""

import argparse
import os
from typing import Any

import django
from django.core.management import call_command


def main() -> None:
    options = parsed()
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.crash.settings"
    django.setup()
    arm(options)
    if options.call:
        call(*options.call)
    else:
        numbers = ["--threads", str(options.threads), "--processes", str(options.processes)]
        call_command("durable_worker", *numbers, "--name", options.name)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--at", help="name of the point to die at")
    parser.add_argument("--nth", type=int, default=1, help="which hit of the point")
    parser.add_argument("--call", nargs=3, help="workflow, its id, its ledger: call it, run no worker")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--name", default="victim")
    parser.add_argument("--losses", help="file that gets a line for each run that this process loses")
    parser.add_argument("--blind", action="store_true", help="do not notice that the lease is lost")
    parser.add_argument("--far-ahead", action="store_true", help="claim as if runs took no time")
    parser.add_argument("--unfenced", action="store_true", help="break the fence: a seeded bug")
    return parser.parse_args()


def arm(options: argparse.Namespace) -> None:
    """Change the engine in this process; it can be imported only now, as Django has been set up."""
    from tests.crash import points, seeded_bugs  # noqa: PLC0415

    if options.at:
        points.arm(options.at, options.nth)
    if options.blind:
        seeded_bugs.never_notice_losses()
    if options.unfenced:
        seeded_bugs.ignore_attempts()
    if options.far_ahead:
        claim_far_ahead()
    if options.losses:
        trace_losses(options.losses)


def claim_far_ahead() -> None:
    from durable_app.worker import backlog, claimer  # noqa: PLC0415

    backlog.Backlog.ahead = backlog.MOST  # type: ignore[assignment]
    claimer.TOO_LONG = 3600.0  # type: ignore[attr-defined]


def trace_losses(path: str) -> None:
    from durable_app import signals  # noqa: PLC0415

    def trace(*, workflow_id: str, **kwargs: Any) -> None:
        with open(path, "a") as file:
            file.write(f"{workflow_id} {os.getpid()}\n")

    signals.workflow_lost.connect(trace, weak=False)


def call(name: str, workflow_id: str, ledger: str) -> None:
    from durable_app import SetWorkflowID  # noqa: PLC0415
    from tests.shop import crash  # noqa: PLC0415

    with SetWorkflowID(workflow_id):
        getattr(crash, name)(ledger)


if __name__ == "__main__":
    main()
