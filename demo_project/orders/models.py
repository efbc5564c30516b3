"""The shop's own rows. The engine's rows are in ``durable_app``; both live in one database."""

from decimal import Decimal

from django.core.validators import MinValueValidator
from django.db import models
from django.urls import reverse
from django.utils import timezone


class Product(models.Model):
    """Something on sale, with what is left of it."""

    sku = models.SlugField(unique=True)
    name = models.CharField(max_length=80)
    tagline = models.CharField(max_length=160)
    description = models.TextField()
    price = models.DecimalField(
        max_digits=8, decimal_places=2, validators=[MinValueValidator(Decimal("0.01"))]
    )
    weight_kg = models.DecimalField("weight (kg)", max_digits=6, decimal_places=2)
    stock = models.PositiveIntegerField()

    class Meta:
        ordering = ["price"]
        constraints = [
            models.CheckConstraint(condition=models.Q(stock__gte=0), name="orders_stock_not_negative")
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the product's page."""
        return reverse("orders:product", args=[self.sku])

    @property
    def picture(self) -> str:
        """Return the static file that shows it."""
        return f"orders/products/{self.sku}.svg"


class Order(models.Model):
    """What one customer bought; written by the ``checkout`` workflow's transactions only."""

    class Status(models.TextChoices):
        """Where an order stands."""

        AWAITING_PAYMENT = "awaiting_payment", "waiting for payment"
        PAID = "paid", "paid"
        DISPATCHED = "dispatched", "dispatched"
        CANCELLED = "cancelled", "cancelled"

    number = models.CharField(max_length=16, unique=True)
    product = models.ForeignKey(Product, models.PROTECT, related_name="orders")
    quantity = models.PositiveIntegerField()
    unit_price = models.DecimalField(max_digits=8, decimal_places=2)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.AWAITING_PAYMENT)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.number

    def get_absolute_url(self) -> str:
        """Return the page on which the order's progress is shown."""
        return reverse("orders:order", args=[self.number])

    @property
    def total(self) -> Decimal:
        """Return what the customer pays."""
        return self.unit_price * self.quantity

    @property
    def weight_kg(self) -> Decimal:
        """Return the parcel's weight."""
        return self.product.weight_kg * self.quantity

    def reach(self, kind: "Milestone.Kind") -> None:
        """Write down that the order came this far."""
        self.milestones.create(kind=kind)


class Payment(models.Model):
    """The money side of an order, as agreed with the payment provider."""

    class Status(models.TextChoices):
        """What happened to the money."""

        REQUESTED = "requested", "requested"
        CHARGED = "charged", "charged"
        REFUNDED = "refunded", "refunded"
        VOIDED = "voided", "never charged"

    order = models.OneToOneField(Order, models.PROTECT, related_name="payment")
    provider_id = models.CharField(max_length=40, unique=True)
    amount = models.DecimalField(max_digits=10, decimal_places=2)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.REQUESTED)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.provider_id


class Milestone(models.Model):
    """A fact in an order's life.

    Nothing in the database forbids writing one twice: that each is there once is the engine's
    doing, and what the demo proves.
    """

    class Kind(models.TextChoices):
        """The facts, in the order of a good day; then those of a bad one."""

        RESERVED = "reserved", "items reserved"
        PAYMENT_REQUESTED = "payment_requested", "payment prepared"
        PAID = "paid", "paid"
        PICKED = "picked", "picked"
        PACKED = "packed", "packed"
        LABELLED = "labelled", "labelled"
        DISPATCHED = "dispatched", "handed to the carrier"
        MONEY_RETURNED = "money_returned", "money returned"
        CANCELLED = "cancelled", "order cancelled"
        STOCK_RELEASED = "stock_released", "items back on the shelf"

    order = models.ForeignKey(Order, models.CASCADE, related_name="milestones")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    reached_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.order_id} {self.kind}"


def workflow_id_for(order_number: str) -> str:
    """Return the id of the run that carries the order: one number, one run."""
    return f"order-{order_number}"
