"""Health: does the process answer, and can it do its work?

``healthz`` is for whoever restarts processes, ``readyz`` for whoever sends them traffic. That workers are
missing is told there too, but makes a process unready only if it is asked: a web process that is taken out of
service for it would make two outages of one.
"""

import logging
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from durable_app.checks import is_migrated
from durable_app.errors import QueryTimeoutError
from durable_app.ops.gate import gated
from durable_app.store import gauges

logger = logging.getLogger("durable_app")

OK = "ok"


@gated("healthz")
def healthz(request: HttpRequest) -> HttpResponse:
    """Answer 200 if the database answers, else 503."""
    return _answer({"database": _database()})


@gated("readyz")
def readyz(request: HttpRequest) -> HttpResponse:
    """Answer 200 if the database answers and has all migrations, else 503.

    With ``?require=workers`` also 503 if runs wait in a queue that no live worker serves, or that does not
    exist.
    """
    found: dict[str, Any] = {"database": _database()}
    if found["database"] != OK:
        return _answer(found)
    found["migrations"] = OK if is_migrated() else "missing: run `manage.py migrate`"
    if found["migrations"] != OK:
        return _answer(found)
    found["workers"] = _workers()
    tolerated = () if request.GET.get("require") == "workers" else ("workers",)
    return _answer(found, tolerated)


def _workers() -> str:
    missing, idle = gauges.unserved_queues()
    told = {"runs wait in queues that do not exist": missing, "runs wait, and no worker serves": idle}
    return "; ".join(f"{what}: {', '.join(names)}" for what, names in told.items() if names) or OK


def _database() -> str:
    try:
        gauges.ask()
    except QueryTimeoutError:
        return "too slow"
    except Exception as error:  # noqa: BLE001  (whatever it is, this process cannot do its work)
        logger.warning("The database does not answer error=%s", error)
        return "no answer"
    return OK


def _answer(found: dict[str, Any], tolerated: tuple[str, ...] = ()) -> HttpResponse:
    is_well = all(state == OK for name, state in found.items() if name not in tolerated)
    return JsonResponse({"status": OK if is_well else "failing", **found}, status=200 if is_well else 503)
