"""Where a run's pages are."""

from typing import Any

from django.urls import NoReverseMatch, reverse
from django.utils.http import urlencode

from durable_app.admin.base import SITE, DurableAdminMixin

PREFIX = "durable_app_workflow"


class RunLinks(DurableAdminMixin):
    """What the views of runs stand on."""

    def run_url(self, name: str, *args: Any) -> str:
        """Return the URL of one of our views."""
        return reverse(f"{SITE}:{PREFIX}_{name}", args=args, current_app=self.admin_site.name)

    def url_of(self, workflow_id: str) -> str:
        """Return a URL that leads to a run whose number is not known here."""
        return f"{self.run_url('by_id')}?{urlencode({'id': workflow_id})}"

    def operation_url(self, number: int | str) -> str:
        """Return the URL of a bulk operation's page; empty if nobody shows one."""
        name = f"{SITE}:durable_app_bulkoperation_change"
        try:
            return reverse(name, args=[number], current_app=self.admin_site.name)
        except NoReverseMatch:
            return ""

    def verb_url(self, run: Any, verb: str) -> str:
        """Return the URL of a verb's page."""
        return self.run_url("verb", run.pk, verb)
