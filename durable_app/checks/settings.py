"""Checks of the settings: they are read as the worker would read them."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.utils.module_loading import import_string

from durable_app import conf, serialization
from durable_app.control import alerts
from durable_app.control.actors import Policy

EMAIL = "durable_app.alert_handlers.email"
WEBHOOK = "durable_app.alert_handlers.webhook"


def readable() -> conf.Options | None:
    """Return the options; None if they cannot be read, which E008 reports."""
    try:
        return conf.Options.from_settings()
    except ImproperlyConfigured:
        return None


@register("durable_app")
def check_settings(**kwargs: Any) -> list[CheckMessage]:
    """E008, E009: an unknown key, a value that cannot be, an alias that does not exist."""
    try:
        options = conf.Options.from_settings()
        serialization.check()
    except ImproperlyConfigured as error:
        return [Error(str(error), hint="Correct DURABLE in the settings.", id="durable.E008")]
    if options.DATABASE in connections:
        return []
    known = sorted(connections)
    return [
        Error(
            f"DURABLE['DATABASE'] is {options.DATABASE!r}, which is no alias of DATABASES.",
            hint=f"Known aliases: {', '.join(known)}.",
            id="durable.E009",
        )
    ]


@register("durable_app")
def check_policy(**kwargs: Any) -> list[CheckMessage]:
    """E008: a policy that cannot be imported would let every request fail."""
    options = readable()
    if options is None or not options.POLICY:
        return []
    hint = 'DURABLE = {"POLICY": "shop.policies.TenantPolicy"}  # a subclass of control.actors.Policy'
    try:
        found = import_string(options.POLICY)
    except ImportError as error:
        return [Error(f"DURABLE['POLICY'] cannot be imported: {error}", hint=hint, id="durable.E008")]
    if isinstance(found, type) and issubclass(found, Policy):
        return []
    return [
        Error(f"DURABLE['POLICY'] is {options.POLICY!r}, which is no Policy.", hint=hint, id="durable.E008")
    ]


@register("durable_app")
def check_alerts(**kwargs: Any) -> list[CheckMessage]:
    """E008, W018: rules that cannot be, handlers that cannot be imported or can tell nobody."""
    options = readable()
    if options is None:
        return []
    try:
        wanted = alerts.Rules.given(options.ALERTS)
    except ImproperlyConfigured as error:
        return [Error(str(error), hint='Correct DURABLE["ALERTS"] in the settings.', id="durable.E008")]
    return [*_unusable(wanted), *_unheard(wanted, options)]


def _unusable(wanted: alerts.Rules) -> Iterator[CheckMessage]:
    for path in wanted.handlers:
        try:
            found = import_string(path)
        except ImportError as error:
            sentence = f"DURABLE['ALERTS']['HANDLERS'] names {path!r}, which cannot be imported: {error}"
        else:
            if callable(found):
                continue
            sentence = f"DURABLE['ALERTS']['HANDLERS'] names {path!r}, which cannot be called."
        hint = f'DURABLE = {{"ALERTS": {{"HANDLERS": ["{EMAIL}"]}}}}  # takes (name, message, metadata)'
        yield Error(sentence, hint=hint, id="durable.E008")


def _unheard(wanted: alerts.Rules, options: conf.Options) -> Iterator[CheckMessage]:
    if WEBHOOK in wanted.handlers and not options.ALERT_WEBHOOK.startswith(("https://", "http://")):
        yield Error(
            f"Alerts go to a webhook, and DURABLE['ALERT_WEBHOOK'] is {options.ALERT_WEBHOOK!r}.",
            hint='DURABLE = {"ALERT_WEBHOOK": "https://chat.example.com/hook"}',
            id="durable.E008",
        )
    if EMAIL in wanted.handlers and not settings.ADMINS:
        yield Warning(
            "Alerts go to ADMINS by mail, and ADMINS is empty: nobody is told.",
            hint='ADMINS = [("Ann", "ann@example.com")]  # from Django 6.0 on: ["ann@example.com"]',
            id="durable.W018",
        )
    if wanted.handlers and wanted.is_off:
        yield Warning(
            "DURABLE['ALERTS'] has handlers and no rule: nothing is ever told.",
            hint='DURABLE = {"ALERTS": {"FAILURES": 10, "SLOW_QUEUE": timedelta(minutes=10), ...}}',
            id="durable.W018",
        )


@register("durable_app")
def check_time_zones(**kwargs: Any) -> list[CheckMessage]:
    """E010: due times and leases of several hosts can only be compared with their zone."""
    if settings.USE_TZ:
        return []
    return [
        Error(
            "USE_TZ is False: the engine compares times of several hosts, and needs aware datetimes.",
            hint="Set USE_TZ = True.",
            id="durable.E010",
        )
    ]


@register("durable_app", deploy=True)
def check_retention(**kwargs: Any) -> list[CheckMessage]:
    """W010: a table that only grows."""
    options = readable()
    if options is None or options.RETENTION is not None:
        return []
    return [
        Warning(
            "Finished runs are kept for ever: the tables grow with every run.",
            hint='DURABLE = {"RETENTION": timedelta(days=90)}',
            id="durable.W010",
        )
    ]


@register("durable_app")
def check_pickle(**kwargs: Any) -> list[CheckMessage]:
    """W011: whoever has SECRET_KEY and may write rows runs code in the workers."""
    options = readable()
    if options is None or serialization.PICKLE not in (options.SERIALIZER, *options.ALLOWED_SERIALIZERS):
        return []
    return [
        Warning(
            "DURABLE enables the pickle serializer: who has SECRET_KEY and may write to the tables can run "
            "code in the workers.",
            hint="Register the project's types with @durable_app.serializable instead, or silence this.",
            id="durable.W011",
        )
    ]
