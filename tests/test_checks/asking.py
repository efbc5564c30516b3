"""What the system checks say, and a database that a project has for a while."""

from typing import Any

from django.core.checks import CheckMessage, run_checks
from django.db import connections


def messages(*, deploy: bool = False) -> list[CheckMessage]:
    return run_checks(tags=["durable_app"], include_deployment_checks=deploy)


def said(*, deploy: bool = False) -> list[str | None]:
    """Return the ids, but for W012: on SQLite, some of the databases here have it."""
    return [message.id for message in messages(deploy=deploy) if message.id != "durable.W012"]


def about_deployment() -> list[str | None]:
    """Return the ids of what `check --deploy` says, without what the tests' own settings deserve."""
    return [one for one in said(deploy=True) if one not in ("durable.W010", "durable.W015")]


class AnotherDatabase:
    """Add a database to the project for a while."""

    alias = "another"

    def __init__(self, **described: Any) -> None:
        self.described = described

    def __enter__(self) -> str:
        everything = connections.configure_settings({"default": {}, self.alias: self.described})
        connections.settings[self.alias] = everything[self.alias]
        return self.alias

    def __exit__(self, *raised: object) -> None:
        connections[self.alias].close()
        del connections[self.alias]
        del connections.settings[self.alias]
