"""The shop's rows in Django's admin; orders and payments are read-only: workflows write them."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from demo_project.orders.models import Milestone, Order, Payment, Product

if TYPE_CHECKING:  # generic for the type checker only
    ProductAdminBase = admin.ModelAdmin[Product]
    ReadOnlyAdminBase = admin.ModelAdmin[Any]
    MilestoneInlineBase = admin.TabularInline[Milestone, Order]
else:
    ProductAdminBase = ReadOnlyAdminBase = admin.ModelAdmin
    MilestoneInlineBase = admin.TabularInline


@admin.register(Product)
class ProductAdmin(ProductAdminBase):
    """What is on sale."""

    list_display = ("name", "sku", "price", "weight_kg", "stock")
    search_fields = ("name", "sku")


class MilestoneInline(MilestoneInlineBase):
    """How far an order has come."""

    model = Milestone
    fields = ("kind", "reached_at")
    readonly_fields = fields
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Leave the writing to the workflows."""
        return False


class ReadOnlyAdmin(ReadOnlyAdminBase):
    """Rows to look at."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Leave the writing to the workflows."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Leave the writing to the workflows."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Keep the books complete."""
        return False


@admin.register(Order)
class OrderAdmin(ReadOnlyAdmin):
    """What was bought."""

    list_display = ("number", "product", "quantity", "status", "created_at")
    list_filter = ("status",)
    list_select_related = ("product",)
    search_fields = ("number",)
    inlines = (MilestoneInline,)


@admin.register(Payment)
class PaymentAdmin(ReadOnlyAdmin):
    """What was paid."""

    list_display = ("provider_id", "order", "amount", "status", "created_at")
    list_filter = ("status",)
    list_select_related = ("order",)
    search_fields = ("provider_id", "order__number")
