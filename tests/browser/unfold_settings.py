"""Settings of the demo under django-unfold, with the least that its pages need of a policy.

Alpine evaluates what stands in attributes; colours are in a style element.
"""

from demo_project.security import POLICY
from demo_project.settings import *  # noqa: F403
from demo_project.settings import INSTALLED_APPS

INSTALLED_APPS = ["unfold", *INSTALLED_APPS]

UNFOLD = {"SIDEBAR": {"navigation": "durable_app.contrib.unfold.navigation"}}

CONTENT_SECURITY_POLICY = f"{POLICY}; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'"
