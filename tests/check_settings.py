"""Settings of `make check`: the apps of the tests and those of the demo project together."""

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS

INSTALLED_APPS = [
    *INSTALLED_APPS,
    "demo_project.orders",
    "demo_project.ingestion",
    "demo_project.reports",
    "demo_project.agent",
    "demo_project.outbox",
]
