"""Settings of a project that keeps the engine on a database that cannot carry it."""

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES

DATABASES = {
    "other": DATABASES["other"],
    "default": {"ENGINE": "tests.strange_database", "NAME": ":memory:"},
}
