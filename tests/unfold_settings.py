"""Settings of the tests under django-unfold: the app in front, and its sidebar with our entries."""

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS

INSTALLED_APPS = ["unfold", *INSTALLED_APPS]

UNFOLD = {"SIDEBAR": {"navigation": "durable_app.contrib.unfold.navigation"}}
"""As docs/admin.md says it."""
