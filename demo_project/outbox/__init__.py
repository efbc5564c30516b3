"""The outbox: events of the shop, delivered to a webhook that is often down."""
