"""System checks: what can be known to be wrong before anything runs. docs/checks.md lists them.

None looks into a database, but for those with Django's tag ``database``, which run when one is named.
"""

from durable_app.checks import code, databases, schedules, settings, surfaces
from durable_app.checks.databases import is_migrated, unapplied_migrations

__all__ = [
    "code",
    "databases",
    "is_migrated",
    "schedules",
    "settings",
    "surfaces",
    "unapplied_migrations",
]
