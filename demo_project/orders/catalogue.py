"""The six products on sale, and how they get into the database."""

from dataclasses import asdict, dataclass
from decimal import Decimal

from demo_project.orders.models import Product

FULL_SHELF = 24
LOW_SHELF = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """A product as the catalogue prints it."""

    sku: str
    name: str
    tagline: str
    description: str
    price: Decimal
    weight_kg: Decimal


ITEMS = (
    Item(
        sku="pocket-widget",
        name="Pocket Widget",
        tagline="The one you always have with you.",
        description=(
            "A widget the size of a coin, in a case of brushed steel. It hangs on a key ring, "
            "weighs next to nothing and does about a third of what its big sisters do, which "
            "is most of what one needs."
        ),
        price=Decimal("14.90"),
        weight_kg=Decimal("0.08"),
    ),
    Item(
        sku="spring-widget",
        name="Spring-Loaded Widget",
        tagline="For everything that has to come back.",
        description=(
            "Eleven turns of Swedish spring steel between two ground plates. Compress it, let "
            "go, and it is where it was before, ten million times without a check-up."
        ),
        price=Decimal("32.50"),
        weight_kg=Decimal("0.64"),
    ),
    Item(
        sku="classic-widget",
        name="Classic Widget",
        tagline="Enhance your productivity with our top-rated widget.",
        description=(
            "The widget that founded the house: twelve teeth, milled from one piece, hardened "
            "and polished by hand. Unchanged since the first catalogue, because nobody has "
            "found anything to change."
        ),
        price=Decimal("49.99"),
        weight_kg=Decimal("1.20"),
    ),
    Item(
        sku="clockwork-widget",
        name="Clockwork Widget",
        tagline="Three wheels, one purpose.",
        description=(
            "A going train of three brass wheels on jewelled bearings. Wound once a week it "
            "never stops, and when somebody does stop it, it goes on from the very tooth it "
            "stood at."
        ),
        price=Decimal("129.00"),
        weight_kg=Decimal("2.35"),
    ),
    Item(
        sku="industrial-widget",
        name="Industrial Widget",
        tagline="52 kilograms of cast iron.",
        description=(
            "Drives conveyor belts, mill wheels and the imagination. Our carrier takes "
            "parcels of up to 30 kg: order one to see how a paid order is undone, with the "
            "money refunded and the stock put back."
        ),
        price=Decimal("389.00"),
        weight_kg=Decimal("52.00"),
    ),
    Item(
        sku="golden-widget",
        name="Golden Widget",
        tagline="For people who have a widget already.",
        description=(
            "The Classic Widget in 18 carat gold, on a stand of black marble. The payment "
            "provider declines anything above €1,000: order one to see an order given up "
            "before it costs anything."
        ),
        price=Decimal("2480.00"),
        weight_kg=Decimal("3.10"),
    ),
)


def load_products() -> int:
    """Put the catalogue on sale and refill shelves that run low; return its length."""
    for item in ITEMS:
        printed = asdict(item)
        product, _ = Product.objects.update_or_create(
            sku=printed.pop("sku"),
            defaults=printed,
            create_defaults={**printed, "sku": item.sku, "stock": FULL_SHELF},
        )
        if product.stock < LOW_SHELF:
            Product.objects.filter(pk=product.pk, stock__lt=LOW_SHELF).update(stock=FULL_SHELF)
    return len(ITEMS)
