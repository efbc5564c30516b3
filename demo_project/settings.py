"""Settings of the demo: a SQLite file in ``var/``, or the database that ``DATABASE_URL`` names."""

import os
from datetime import timedelta

from demo_project.database import database_from_url
from demo_project.paths import VAR_DIR

VAR_DIR.mkdir(exist_ok=True)

SECRET_KEY = os.environ.get(
    "SECRET_KEY", "demo-only: set SECRET_KEY wherever other people can reach the site"
)
DEBUG = os.environ.get("DEBUG", "1") == "1"
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_crontab",
    "durable_app",
    "demo_project.orders",
    "demo_project.ingestion",
    "demo_project.reports",
    "demo_project.agent",
    "demo_project.outbox",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "demo_project.security.ContentSecurityPolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "demo_project.urls"
WSGI_APPLICATION = "demo_project.wsgi.application"
ASGI_APPLICATION = "demo_project.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "demo_project.rooms.rooms",
            ]
        },
    }
]

DATABASES = {
    "default": database_from_url(os.environ.get("DATABASE_URL", ""), default_file=VAR_DIR / "demo.sqlite3")
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}

DURABLE = {"POLL_INTERVAL": timedelta(milliseconds=250), "API": {"STARTABLE": ["checkout"]}}

# Where no worker may run: `python manage.py crontab add`, and cron is one for most of each minute.
CRONJOBS = [("* * * * *", "durable_app.cron.tick")]
CRONTAB_EXECUTABLE = "crontab"

PAYMENT_PROVIDER_URL = os.environ.get("PAYMENT_PROVIDER_URL", "http://127.0.0.1:8001")
PAYMENT_TIMEOUT = timedelta(minutes=10)
"""How long a customer has to pay before the order is cancelled."""

WEBHOOK_URL = os.environ.get("WEBHOOK_URL", "http://127.0.0.1:8002")
WEBHOOK_SECRET = os.environ.get("WEBHOOK_SECRET", "demo-only")
"""What the shop and the receiver of its events share."""

LANGUAGE_MODEL_URL = os.environ.get("LANGUAGE_MODEL_URL", "http://127.0.0.1:8003")
APPROVAL_TIMEOUT = timedelta(seconds=float(os.environ.get("APPROVAL_SECONDS", "600")))
"""How long a person has to approve what the assistant may not do alone."""

LIBRARY_FOLDER = os.environ.get("LIBRARY_FOLDER", "")
"""The texts to read; empty: the shop's manuals."""
