"""What ends the tour early."""


class DemoFailed(Exception):
    """The demo could not show what it promises; the message says why."""
