"""How the shop writes money."""

from decimal import Decimal

from django import template

register = template.Library()


@register.filter
def euros(amount: Decimal) -> str:
    """Return the amount with its sign, as in €1,234.50."""
    return f"€{amount:,.2f}"


@register.filter
def times(amount: Decimal, quantity: int) -> Decimal:
    """Return the price of several."""
    return amount * quantity
