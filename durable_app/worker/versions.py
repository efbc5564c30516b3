"""Which runs a worker's code is for: those of its version, and while it is the latest those of none."""

import logging

from durable_app import clock
from durable_app.store import diagnosis, versions

logger = logging.getLogger("durable_app")

FRESH = 5.0
"""Seconds between two looks which version is the latest, where nobody tells."""


class CodeVersion:
    """The version of a worker's code, empty if it takes any run; knows whether it is the latest."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._is_latest = True
        self._looked_at = float("-inf")

    def register(self) -> None:
        """Make the version known, and warn if it is not the latest or runs of others wait in vain."""
        if not self.name:
            return
        self._looked_at = clock.boot_seconds()
        self._is_latest = versions.register(self.name)
        if not self._is_latest:
            logger.warning(
                "This worker's version is not the latest: it takes only runs of its own version=%s latest=%s",
                self.name,
                getattr(versions.latest(), "version_name", None),
            )
        for version, count in diagnosis.stranded().items():
            logger.warning("Runs wait for a version that no worker runs version=%s runs=%d", version, count)

    def outdate(self) -> None:
        """Look again before the next claim: another version may be the latest."""
        self._looked_at = float("-inf")

    @property
    def takes_unversioned(self) -> bool:
        """Whether runs that name no version are this worker's."""
        if self.name and clock.boot_seconds() - self._looked_at > FRESH:
            self._looked_at = clock.boot_seconds()  # before the look: news that comes meanwhile counts
            self._is_latest = versions.is_latest(self.name)
        return self._is_latest
