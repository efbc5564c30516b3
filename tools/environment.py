"""Make the virtual environments of this repository: `python -m tools.environment make django6.1`.

An environment is a folder `.venv/NAME`. Those of the tests are one for each line of Django; every
other one has just what its command needs.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".venv"


@dataclass(frozen=True)
class Environment:
    """Which Pythons may carry an environment, the preferred first, and what pip puts into it."""

    pythons: tuple[str, ...]
    requirements: str
    constraint: str = ""


OLDEST_FIRST = ("3.11", "3.12", "3.13", "3.14")
NEWEST_FIRST = OLDEST_FIRST[::-1]

LINES = {
    "django5.2": Environment(OLDEST_FIRST, "requirements-dev.txt", "Django~=5.2.0"),
    "django6.0": Environment(("3.12", "3.13", "3.14"), "requirements-dev.txt", "Django~=6.0.0"),
    "django6.1": Environment(("3.14", "3.13", "3.12"), "requirements-dev.txt", "Django~=6.1.0"),
}
TESTED = ("django5.2", "django6.1")
ENVIRONMENTS = {
    **LINES,
    "demo": Environment(NEWEST_FIRST, "requirements.txt"),
    "bench": Environment(NEWEST_FIRST, "benchmarks/requirements.txt"),
    "postgres": Environment(NEWEST_FIRST, "tools/requirements-postgres.txt"),
}


class NoPythonError(Exception):
    """No Python on this machine can carry the environment."""

    def __init__(self, versions: tuple[str, ...]) -> None:
        self.versions = versions
        super().__init__(
            f"No Python {', '.join(versions)} with its venv module"
            " on PATH or under ~/.pyenv/versions. (On Debian: apt install python3 python3-venv.)"
        )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.environment", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("lines", help="print the lines of Django that this machine can test")
    commands.add_parser("newest", help="print the newest of them")
    make_command = commands.add_parser("make", help="create an environment")
    make_command.add_argument("name", choices=ENVIRONMENTS)
    options = parser.parse_args(arguments)
    try:
        if options.command == "make":
            make(options.name)
        else:
            lines = testable_lines()
            print(lines[-1] if options.command == "newest" else " ".join(lines))
    except NoPythonError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def ensure(name: str) -> Path:
    """Return the environment's Python, and make it first unless that was done already."""
    ready, requirements = FOLDER / name / "ready", ROOT / ENVIRONMENTS[name].requirements
    if ready.exists() and ready.stat().st_mtime >= requirements.stat().st_mtime:
        return FOLDER / name / "bin" / "python"
    return make(name)


def make(name: str) -> Path:
    """Create the environment, or bring it up to date, and return its Python."""
    environment = ENVIRONMENTS[name]
    python = FOLDER / name / "bin" / "python"
    found = find_python(environment.pythons)
    print(f"Preparing .venv/{name} with {found} ...", file=sys.stderr, flush=True)
    if not works(str(python)):
        shutil.rmtree(FOLDER / name, ignore_errors=True)
        subprocess.run([found, "-m", "venv", str(FOLDER / name)], check=True)
    wanted = ["-r", str(ROOT / environment.requirements)]
    if environment.constraint:
        wanted.append(environment.constraint)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *wanted], check=True)
    (FOLDER / name / "ready").touch()
    return python


def testable_lines() -> list[str]:
    """Return the lines of the matrix that some Python here can carry, the oldest first."""
    lines = [name for name in TESTED if any(candidates(LINES[name].pythons))]
    if not lines:
        raise NoPythonError(OLDEST_FIRST)
    if missing := set(TESTED).difference(lines):
        print(f"Left out, for want of a Python: {', '.join(missing)}.", file=sys.stderr)
    return lines


def find_python(versions: tuple[str, ...]) -> str:
    """Return the first Python that runs and can make an environment."""
    for candidate in candidates(versions):
        return candidate
    raise NoPythonError(versions)


def candidates(versions: tuple[str, ...]) -> Iterator[str]:
    for version in versions:
        for path in places(version):
            if works(path, version):
                yield path


def places(version: str) -> Iterator[str]:
    """Look where Pythons are: this one, all of PATH (a pyenv shim there may fail), pyenv's own."""
    yield sys.executable
    for name in (f"python{version}", "python3"):
        for folder in os.get_exec_path():
            path = Path(folder) / name
            if os.access(path, os.X_OK):
                yield str(path)
    for path in sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"), reverse=True):
        yield str(path)


def works(python: str, version: str = "") -> bool:
    """Tell whether this Python starts, is of the version, and has what `venv` needs."""
    code = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"
    try:
        asked = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0 and version in ("", asked.stdout.strip())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
