"""Why an order may fail. The sentences are for customers.

OrderFailed             the order is given up, and all that was done for it is undone
├── OutOfStock          there is not enough left
├── PaymentDeclined     the provider refuses this payment
├── PaymentNotMade      the customer cancelled, or did not pay in time
└── CarrierRefused      the parcel cannot be sent

ProviderUnavailable     the provider did not answer; the same request may be sent again
"""


class OrderFailed(Exception):
    """The order is given up, and all that was done for it is undone."""


class OutOfStock(OrderFailed):
    """There is not enough left."""


class PaymentDeclined(OrderFailed):
    """The provider refuses this payment, and would refuse it again."""


class PaymentNotMade(OrderFailed):
    """The customer cancelled, or did not pay in time."""


class CarrierRefused(OrderFailed):
    """The parcel cannot be sent."""


class ProviderUnavailable(Exception):
    """The provider did not answer, or could not: the same request may be sent again."""
