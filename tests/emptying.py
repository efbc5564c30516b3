"""Empty the tables between two tests, only those that are filled: Django's flush was half of a short test."""

from functools import cache
from typing import Any

from django.apps import apps
from django.core.management import call_command
from django.db import connections, transaction
from django.test import TransactionTestCase

LASTING = ("auth_permission", "django_content_type")
"""What migrating fills and tests only read: a flush makes their rows anew each time."""


def empty_quickly() -> None:
    """Let each transactional test end so, from now on."""
    TransactionTestCase._fixture_teardown = _empty_all  # type: ignore[attr-defined]


def _empty_all(test: Any) -> None:
    for alias in test._databases_names(include_mirrors=False):
        _empty(alias)
        if not _is_complete(alias):
            call_command("flush", verbosity=0, interactive=False, database=alias)


def _empty(alias: str) -> None:
    """Delete all rows in one transaction: only its end looks at foreign keys."""
    tables = [table for table in _tables(alias) if table not in LASTING]
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        cursor.execute("SELECT " + ", ".join(f"EXISTS (SELECT 1 FROM {table})" for table in tables))
        for table, is_filled in zip(tables, cursor.fetchone(), strict=True):
            if is_filled:
                cursor.execute(f"DELETE FROM {table}")


@cache
def _tables(alias: str) -> list[str]:
    found = connections[alias].introspection.django_table_names(only_existing=True, include_views=False)
    return sorted(found)


def _is_complete(alias: str) -> bool:
    """Return whether no test made or deleted rows of those that stay."""
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT " + ", ".join(f"(SELECT count(*) FROM {table})" for table in LASTING))
        return bool(cursor.fetchone() == _migrated())


@cache
def _migrated() -> tuple[int, int]:
    """Return how many permissions and content types migrating makes."""
    found = [model._meta for model in apps.get_models()]
    return sum(len(one.default_permissions) + len(one.permissions) for one in found), len(found)
