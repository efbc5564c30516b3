"""``manage.py demo``: show the shop, crash it, and prove that nothing ran twice."""

import signal
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from demo_project.tour.errors import DemoFailed
from demo_project.tour.tour import run_demo


class Command(BaseCommand):
    """Arguments and exit status; the tour is in ``demo_project.tour``."""

    help = "Order something, kill the worker in the middle, and see the order arrive all the same."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take ``--once``."""
        parser.add_argument(
            "--once",
            action="store_true",
            help="end after the tour instead of leaving the shop open",
        )

    def handle(self, *args: Any, once: bool, **options: Any) -> None:
        """Run it; every signal that asks for the end is a Ctrl-C."""
        for kind in (signal.SIGINT, signal.SIGTERM):
            signal.signal(kind, signal.default_int_handler)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup would have it
            signal.signal(signal.SIGHUP, signal.default_int_handler)
        try:
            run_demo(sys.stdout, once=once)
        except DemoFailed as failure:
            raise CommandError(str(failure)) from failure
        except KeyboardInterrupt:
            raise CommandError("Interrupted.", returncode=130) from None
