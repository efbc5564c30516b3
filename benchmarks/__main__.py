"""`python -m benchmarks`: run the workloads and print a table of each."""

import argparse
import os
import sys
from pathlib import Path

from benchmarks import databases, tables
from benchmarks.runner import Runner
from benchmarks.workloads import WORKLOADS, in_groups

GROUPS = list(dict.fromkeys(workload.group for workload in WORKLOADS))
SECONDS, QUICK_SECONDS = 3.0, 1.0


def main(arguments: list[str]) -> int:
    options = _parse(arguments)
    server_url = os.environ.get("DATABASE_URL", "")
    if not server_url.startswith("postgres"):
        print("DATABASE_URL must name a PostgreSQL server for scratch databases.", file=sys.stderr)
        return 2
    server = databases.describe(server_url)
    print(tables.machine(server), flush=True)
    runner = Runner(server_url, seconds=options.seconds, report=_progress)
    results = runner.run(in_groups(options.workloads), options.rounds)
    for result in results:
        print(f"\n{tables.table(result)}")
    if options.json:
        tables.write_json(options.json, results, server)
    return 1 if any(result.failures for result in results) else 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--workloads", type=_groups, default=GROUPS, help=f"any of {','.join(GROUPS)}; default: all"
    )
    parser.add_argument("--rounds", type=int, help="default: 3")
    parser.add_argument("--seconds", type=float, help=f"of one trial; default: {SECONDS:g}")
    parser.add_argument("--quick", action="store_true", help="one round of short trials")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file too")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    return options


def _groups(text: str) -> list[str]:
    groups = text.split(",")
    if unknown := set(groups) - set(GROUPS):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
    return groups


def _progress(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
