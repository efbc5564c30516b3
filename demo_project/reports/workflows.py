"""The nightly report: declared with its schedule, written once a tick by whichever worker is there."""

from collections import Counter
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.utils import timezone

from demo_project.orders.models import Order
from demo_project.reports.models import DailyReport
from durable_app import scheduled, transaction, workflow

ZONE = ZoneInfo("Europe/Berlin")
SCHEDULE = "nightly-report"
SOLD = frozenset({Order.Status.PAID, Order.Status.DISPATCHED})


@scheduled("0 0 * * *", timezone=ZONE.key, name=SCHEDULE, catch_up="last")
@workflow
def nightly_report(tick: datetime, context: object) -> date:
    """Report on the day that the moment before the tick belongs to: at midnight, the day that ends."""
    day = (tick - timedelta(microseconds=1)).astimezone(ZONE).date()
    write_report(day)
    return day


@transaction
def write_report(day: date) -> None:
    """Count the day's orders and store the report, in one transaction; an earlier one is replaced."""
    DailyReport.objects.update_or_create(day=day, defaults={**figures_of(day), "written_at": timezone.now()})


def figures_of(day: date) -> dict[str, Any]:
    """Return what the shop did on a day of its own time zone."""
    begins_at = datetime.combine(day, time.min, ZONE)
    ends_at = datetime.combine(day + timedelta(days=1), time.min, ZONE)
    orders = list(
        Order.objects.filter(created_at__gte=begins_at, created_at__lt=ends_at).select_related("product")
    )
    sold = [order for order in orders if order.status in SOLD]
    items: Counter[str] = Counter()
    for order in sold:
        items[order.product.name] += order.quantity
    return {
        "orders": len(orders),
        "dispatched": sum(order.status == Order.Status.DISPATCHED for order in orders),
        "cancelled": sum(order.status == Order.Status.CANCELLED for order in orders),
        "items": items.total(),
        "revenue": sum((order.total for order in sold), Decimal(0)),
        "best_seller": items.most_common(1)[0][0] if items else "",
    }
