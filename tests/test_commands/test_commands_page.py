"""docs/commands.md says what the parsers take: every verb with every argument."""

import re

from durable_app.management.cli.arguments import add_filters
from durable_app.management.commands.durable_status import Command as Status
from durable_app.management.commands.durable_worker import Command as Worker
from tests.processes import ROOT
from tests.test_commands.synopsis import COMMON, lines

PAGE = (ROOT / "docs" / "commands.md").read_text()

DJANGOS = {"--version", "--verbosity", "--settings", "--pythonpath", "--traceback", "--no-color"}
DJANGOS |= {"--force-color", "--skip-checks"}


def test_every_verb_stands_there_with_its_arguments():
    """A verb more, or an option less, is a line that differs."""
    found = re.search(r"^```text\n(durable .*?)\n```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    assert found[1].splitlines() == list(lines())


def test_the_options_of_the_other_commands_and_the_conditions_stand_there():
    """`durable_worker`, `durable_status`, and what runs are found by."""
    worker = Worker(no_color=True).create_parser("manage.py", "durable_worker")
    status = Status(no_color=True).create_parser("manage.py", "durable_status")
    filters = Status(no_color=True).create_parser("manage.py", "x")
    add_filters(filters)
    options = {
        option
        for parser in (worker, status, filters)
        for action in parser._actions
        for option in action.option_strings
        if option.startswith("--")
    }
    missing = [one for one in sorted(options - DJANGOS - COMMON) if f"`{one}" not in PAGE]
    assert missing == []


def test_the_verbs_of_the_seed_have_counterparts():
    """The table names each, and ours exist."""
    rows = re.findall(r"^\| `dbos (workflow [a-z ]+?)(?: ID.*?|`.*?) \| (.*) \|$", PAGE, re.MULTILINE)
    assert [seeds.strip() for seeds, _ in rows] == [
        f"workflow {verb}" for verb in ("list", "get", "steps", "cancel", "resume", "fork", "queue list")
    ]
    known = {" ".join(line.split()[:3]) for line in lines()}
    for _, ours in rows:
        for command in re.findall(r"`(durable [a-z]+ [a-z]+)", ours):
            assert command in known
