"""django-unfold: installed in front of the admin, it stands around every page of ours."""

import os
import subprocess
import sys

from tests.processes import ROOT

SETTINGS, TESTS = "tests.unfold_settings", "tests/test_admin/under_unfold.py"
DATABASES = {"DATABASE_URL": "sqlite:///:memory:", "OTHER_DATABASE_URL": "sqlite:///:memory:"}

NOT_YET = "ignore:Overriding get_action_choices"
"""What unfold 0.110 has not done yet for the Django after 6.1."""


def test_every_page_works_under_unfold() -> None:
    """A0, A10. Which themes there are is settled when Django starts: these tests have a process of their own.

    Always on SQLite: what a theme does with a page has nothing to do with the database.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    options = [
        "-q",
        f"--ds={SETTINGS}",
        "-o",
        "cache_dir=.cache/pytest-unfold",
        "-p",
        "no:xdist",
        "-W",
        NOT_YET,
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, TESTS],
        cwd=ROOT, env={**environment, **DATABASES}, capture_output=True, text=True, timeout=80, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
    assert "skipped" not in done.stdout
