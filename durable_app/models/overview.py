"""No rows of its own: what lets the overview stand in the index of the admin."""

from django.utils.translation import gettext_lazy as _

from durable_app.models.workflow import Workflow


class Overview(Workflow):
    """All runs at a glance."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = _("overview")
        verbose_name_plural = _("overview")
