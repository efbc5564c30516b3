"""Where a worker's pages are."""

from typing import Any

from django.contrib.admin.utils import quote
from django.urls import reverse

from durable_app.admin.base import SITE
from durable_app.admin.histories import HistoryPages

PREFIX = "durable_app_worker"


class WorkerLinks(HistoryPages):
    """What the views of workers stand on."""

    target_kind = "worker"

    def verb_url(self, worker: Any, verb: str) -> str:
        """Return the URL of a verb's page."""
        name = f"{SITE}:{PREFIX}_verb"
        return reverse(name, args=[quote(worker.pk), verb], current_app=self.admin_site.name)

    def versions_url(self) -> str:
        """Return the URL of the page of versions."""
        return reverse(f"{SITE}:{PREFIX}_versions", current_app=self.admin_site.name)
