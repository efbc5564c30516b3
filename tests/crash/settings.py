"""Settings of the processes that the crash tests start: the tests' own, with a lease to choose."""

import os
from datetime import timedelta

from tests.settings import *  # noqa: F403

DURABLE = {
    "LEASE": timedelta(seconds=float(os.environ.get("CRASH_LEASE", "30"))),
    "POLL_INTERVAL": timedelta(seconds=0.2),
    "PARK_AFTER": timedelta(seconds=0.05),
}
