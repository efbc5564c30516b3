"""Emptying the engine's tables: for tests of programs that start from nothing."""

from django.apps import apps

from durable_app.store import database


@database.retried
def clear() -> None:
    """Delete every row of the engine's."""
    with database.transact():
        for model in apps.get_app_config("durable_app").get_models():
            model._base_manager.using(database.alias()).all().delete()
