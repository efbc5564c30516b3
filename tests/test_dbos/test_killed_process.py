"""A program in the seed's names, killed in the midst of a step: its next start goes on from there."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from durable_app.models import Workflow
from tests.helpers import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

PROGRAM = """
import sys
import time
from pathlib import Path

from durable_app.dbos import DBOS, SetWorkflowID

folder = Path(sys.argv[1])


def note(word):
    with (folder / "log").open("a") as log:
        log.write(word + " ")


@DBOS.step()
def first():
    note("first")
    return 1


@DBOS.step()
def second():
    note("second")
    while not (folder / "go-on").exists():
        time.sleep(0.01)
    return 2


@DBOS.workflow()
def both():
    return first() + second()


DBOS(config={"name": "killed-app"})
DBOS.launch()
with SetWorkflowID("w"):
    print(DBOS.start_workflow(both).get_result())
"""


def test_a_killed_process(worker_env, tmp_path: Path):
    """79, 98. The finished step is not run again, the one it died in is; the start is idempotent."""
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, str(tmp_path / "program.py"), str(tmp_path)]
    env = {**worker_env, "PYTHONPATH": str(Path.cwd())}
    log = tmp_path / "log"
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as dying:
        wait_until(lambda: log.exists() and "second" in log.read_text())
        dying.send_signal(signal.SIGKILL)
    assert Workflow.objects.get().status == "PENDING"
    (tmp_path / "go-on").touch()
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=80, check=False)
    assert done.stdout == "3\n", done.stderr
    assert log.read_text().split() == ["first", "second", "second"]
    assert Workflow.objects.get().recovery_attempts == 1
