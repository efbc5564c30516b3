"""What the shop says of its orders; sent inside the transaction that makes it true.

``order_placed`` has ``number``, ``sku`` and ``quantity``; ``payment_answered`` has ``number`` and ``answer``.
"""

from django.dispatch import Signal

order_placed = Signal()
payment_answered = Signal()
