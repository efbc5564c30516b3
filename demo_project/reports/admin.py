"""The reports in Django's admin."""

from django.contrib import admin

from demo_project.orders.admin import ReadOnlyAdmin
from demo_project.reports.models import DailyReport


@admin.register(DailyReport)
class DailyReportAdmin(ReadOnlyAdmin):
    """What the shop did, day by day."""

    list_display = ("day", "orders", "dispatched", "cancelled", "items", "revenue", "written_at")
    date_hierarchy = "day"
