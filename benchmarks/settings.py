"""A Django project that has nothing but durable_app, on the database that DATABASE_URL names."""

import os
from typing import Any

from psycopg.conninfo import conninfo_to_dict

SQLITE_PREFIX = "sqlite:///"


def _database(url: str) -> dict[str, Any]:
    if url.startswith(SQLITE_PREFIX):
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": url.removeprefix(SQLITE_PREFIX),
            "OPTIONS": {"transaction_mode": "IMMEDIATE"},
        }
    given = conninfo_to_dict(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": given.get("dbname"),
        "USER": given.get("user"),
        "PASSWORD": given.get("password"),
        "HOST": given.get("host"),
        "PORT": given.get("port"),
    }


DATABASES = {"default": _database(os.environ["DATABASE_URL"])}
INSTALLED_APPS = ["durable_app"]
SECRET_KEY = "benchmark"
USE_TZ = True
