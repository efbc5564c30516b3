"""`python -m benchmarks.pages`: how long whole requests of the control plane take, and how many queries.

Runs are made up first, in the database that ``DATABASE_URL`` names. A request goes through Django's test
client: URL, permissions, queries, template. The best of several is printed, as the database has it in memory.
"""

import argparse
import html
import os
import re
import sys
import time
from typing import Any
from urllib.parse import quote, unquote

import django
from django.core.management import call_command

PLAIN = "/admin/durable_app/"
API = "/api/durable/v1/"
CURSOR = re.compile(r"cursor=([^&\"]+)")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000, help="to be made up first; 0: as it is")
    parser.add_argument("--times", type=int, default=5, help="requests of each page; the best one counts")
    options = parser.parse_args(arguments)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    call_command("migrate", verbosity=0)
    if options.runs:
        call_command("durable", "seed", runs=options.runs, quiet=True)
        vacuum()
    print(f"{'page':<44}{'ms':>8}{'queries':>9}{'KiB':>7}")
    client = operator()
    for name, address in pages(client):
        print(measured(client, name, address, options.times), flush=True)
    return 0


def vacuum() -> None:
    """Let the planner know what was made up, as autovacuum does in time."""
    from django.db import connection  # noqa: PLC0415  (after setup)

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


def operator() -> Any:
    """Return a client that is logged in and may do everything."""
    from django.contrib.auth.models import User  # noqa: PLC0415
    from django.test import Client  # noqa: PLC0415

    client = Client()
    facts = {"is_staff": True, "is_superuser": True}
    client.force_login(User.objects.get_or_create(username="operator", defaults=facts)[0])
    return client


def pages(client: Any) -> list[tuple[str, str]]:
    """Return the pages to be measured: a name and an address each."""
    from durable_app.models import Workflow  # noqa: PLC0415

    runs = f"{PLAIN}workflow/"
    failed = Workflow.objects.filter(status="ERROR").latest("pk")
    return [
        *((f"overview, {window}", f"{PLAIN}overview/?window={window}") for window in ("1h", "24h", "7d")),
        ("runs, first page", runs),
        ("runs, in the middle", f"{runs}?cursor={middle(client, runs)}"),
        ("runs, status ERROR", f"{runs}?status=ERROR"),
        ("runs, one workflow", f"{runs}?q=name:{failed.name}"),
        ("runs, no match: workflow and status", f"{runs}?q=name:nobody+status:error"),
        ("runs, no match: queue", f"{runs}?q=queue:nobody"),
        ("runs, id prefix", f"{runs}?q={failed.workflow_id[:12]}"),
        ("a failed run", f"{runs}{failed.pk}/change/"),
        ("queues", f"{PLAIN}queue/"),
        ("schedules", f"{PLAIN}schedule/"),
        ("workers", f"{PLAIN}worker/"),
        ("approvals", f"{PLAIN}approval/"),
        ("audit", f"{PLAIN}auditevent/"),
        ("REST, runs", f"{API}workflows"),
        ("REST, a run with its steps", f"{API}workflows/{failed.workflow_id}?include=steps"),
        ("REST, overview", f"{API}stats/overview"),
    ]


def middle(client: Any, address: str) -> str:
    """Return the cursor of a page half way down the list: a first page's, led on."""
    from durable_app.keyset import Cursor  # noqa: PLC0415
    from durable_app.models import Workflow  # noqa: PLC0415

    page = html.unescape(client.get(address).content.decode())
    found = CURSOR.search(page)
    if found is None:
        raise SystemExit("The list has one page only: there is no middle.")
    first = Cursor.of(unquote(found[1]))
    newest = Workflow.objects.order_by("-pk").values_list("pk", flat=True)[0]
    return quote(Cursor(order=first.order, is_forward=True, values=(newest // 2,)).text())


def measured(client: Any, name: str, address: str, times: int) -> str:
    """Return a line: the best time, the queries, the size."""
    from django.db import connection  # noqa: PLC0415
    from django.test.utils import CaptureQueriesContext  # noqa: PLC0415

    best = float("inf")
    for _ in range(times):
        began = time.perf_counter()
        answer = client.get(address)
        best = min(best, time.perf_counter() - began)
    if answer.status_code != 200:
        return f"{name:<44}  answered {answer.status_code}"
    with CaptureQueriesContext(connection) as queries:
        client.get(address)
    return f"{name:<44}{best * 1000:>8.0f}{len(queries):>9}{len(answer.content) / 1024:>7.0f}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
