"""`durable run` that does something: whom it asks, what it records, how it ends."""

import os
import pwd
import signal
from datetime import timedelta
from typing import Any

import pytest

from durable_app import clock, create_schedule, recv, register_queue, step, workflow
from durable_app.control.operator import Operator
from durable_app.models import AuditEvent, BulkOperation, Message, Status, Workflow
from tests.test_admin.pages import made, with_steps
from tests.test_commands.keyboard import Screen, durable

pytestmark = pytest.mark.django_db


@step
def typed_step(value: Any) -> Any:
    return value


@workflow
def typed_workflow(value: Any = None, *, also: Any = None) -> Any:
    return [typed_step(value), also, recv("word", timeout_seconds=0)]


def statuses(*runs: Workflow) -> list[str]:
    return [Workflow.objects.get(pk=run.pk).status for run in runs]


DOINGS = {
    "cancel": (Status.ENQUEUED, Status.SUCCESS, []),
    "resume": (Status.CANCELLED, Status.SUCCESS, []),
    "run-now": (Status.DELAYED, Status.SUCCESS, []),
    "set": (Status.ENQUEUED, Status.PENDING, ["--priority", "7"]),
    "retry": (Status.ERROR, Status.SUCCESS, []),
    "fork": (Status.SUCCESS, None, ["--step", "1"]),
    "rewind": (Status.SUCCESS, Status.ENQUEUED, ["--step", "1"]),
    "send": (Status.WAITING, Status.SUCCESS, ['{"a": 1}']),
    "delete": (Status.SUCCESS, Status.ENQUEUED, []),
}


@pytest.mark.parametrize("verb", DOINGS)
def test_a_verb_is_done_refused_or_does_not_find_its_run_and_the_audit_has_it(verb):
    """Exit 0, 3 and 4; each time one event by the OS user at a terminal, with the reason."""
    possible, impossible, rest = DOINGS[verb]
    run = with_steps(made(possible), "reserve", "charge", fails=possible == Status.ERROR)
    said = durable("run", verb, run.workflow_id, *rest, "--reason", "it is late", "-o", "json")
    assert (said.code, said.err, said.json[0]["outcome"]) == (0, "", "done")
    made_run = said.json[0]["made"]
    assert bool(made_run) == (verb in ("retry", "fork", "rewind"))
    if impossible:
        other = made(impossible)
        refused = durable("run", verb, other.workflow_id, *rest, "-o", "json")
        assert (refused.code, refused.json[0]["outcome"]) == (3, "refused")
        assert f"The run is {impossible}" in refused.err
    missing = durable("run", verb, "nobody", *rest)
    assert (missing.code, missing.err) == (4, "There is no such run.")
    done, *others = AuditEvent.objects.order_by("pk")
    assert (done.verb, done.outcome, done.target_id, done.reason) == (
        {"run-now": "run_now", "set": "set_priority"}.get(verb, verb),
        "done",
        run.workflow_id,
        "it is late",
    )
    assert (done.actor_kind, done.actor_label) == ("cli", pwd.getpwuid(os.getuid()).pw_name)
    assert [event.outcome for event in others] == ["refused", "failed"][-len(others) :]


def test_one_who_became_another_is_named_with_both_names(monkeypatch):
    """Sudo says who somebody was; a user whom the system does not know has a number."""
    run = made(Status.ENQUEUED)
    monkeypatch.setenv("SUDO_USER", "anna")
    durable("run", "cancel", run.workflow_id)
    name = pwd.getpwuid(os.getuid()).pw_name
    assert AuditEvent.objects.get().actor_label == f"anna as {name}"


def test_several_runs_partly_done():
    """Exit 5: what can be done is; what each came to stands on stdout; ids prints those that were done."""
    good, bad = made(Status.ENQUEUED), made(Status.SUCCESS)
    said = durable(
        "run", "cancel", good.workflow_id, bad.workflow_id, "nobody", good.workflow_id, "-o", "json"
    )
    assert said.code == 5
    assert said.err == "2 of 3 were not done."
    assert [row["outcome"] for row in said.json] == ["done", "refused", "failed"]
    again = made(Status.ENQUEUED)
    ids = durable("run", "cancel", again.workflow_id, bad.workflow_id, "-o", "ids")
    assert (ids.code, ids.lines) == (5, [again.workflow_id])
    assert durable("run", "cancel", bad.workflow_id, "nobody").code == 1
    table = durable("run", "cancel", made(Status.ENQUEUED).workflow_id)
    assert table.lines[0].split() == ["TARGET", "OUTCOME", "MADE", "DETAIL"]


def test_retried_runs_are_piped_on_by_their_new_ids():
    """-o ids prints the id of what was made."""
    run = with_steps(made(Status.ERROR), "reserve", "charge", fails=True)
    [new] = durable("run", "retry", run.workflow_id, "-o", "ids").lines
    assert Workflow.objects.get(workflow_id=new).forked_from == run.workflow_id


def test_conditions_need_a_yes_or_the_number_typed():
    """Without a terminal exit 3 and nothing done; a wrong number likewise; the right one does it."""
    runs = [made(Status.ENQUEUED) for _ in range(3)]
    survivor = made(Status.ENQUEUED, name="other")
    conditions = ("--name", "shop.checkout", "--status", "ENQUEUED")
    said = durable("run", "cancel", *conditions)
    assert (said.code, said.out) == (3, "")
    assert said.err == "This would cancel 3 runs: add --yes to do it."
    wrong = durable("run", "cancel", *conditions, stdin=Screen("yes\n"))
    assert (wrong.code, wrong.out) == (3, "")
    assert wrong.err == "This will cancel 3 runs. Type 3 to go on: Nothing was done."
    assert statuses(*runs) == ["ENQUEUED"] * 3
    assert not AuditEvent.objects.exists()
    right = durable("run", "cancel", *conditions, "-o", "ids", stdin=Screen("3\n"))
    assert (right.code, right.lines) == (0, [run.workflow_id for run in runs])
    assert statuses(*runs, survivor) == [*["CANCELLED"] * 3, "ENQUEUED"]
    assert durable("run", "resume", "--name", "shop.checkout", "--yes").code == 0
    assert statuses(*runs) == ["ENQUEUED"] * 3
    urgent = durable("run", "set", "--name", "shop.checkout", "--priority", "1")
    assert urgent.err == "This would set the priority of 3 runs: add --yes to do it."
    assert durable("run", "set", "--name", "shop.checkout", "--priority", "1", "--yes").code == 0
    assert [Workflow.objects.get(pk=run.pk).priority for run in runs] == [1, 1, 1]
    one = durable("run", "cancel", "--name", "other")
    assert (one.code, one.err) == (3, "This would cancel 1 run: add --yes to do it.")
    assert durable("run", "cancel", "--name", "nothing has it").code == 0


def test_a_dry_run_says_what_would_be_done_and_does_nothing():
    """For conditions, ids and stdin; as ids, only what would be changed."""
    ready, over = made(Status.ENQUEUED), made(Status.SUCCESS)
    before = list(Workflow.objects.order_by("pk").values())
    said = durable("run", "cancel", "--dry-run", "-o", "json", "-", stdin=f"{ready.workflow_id}\n\nnobody\n")
    assert [(row["workflow_id"], row["would"], row["detail"]) for row in said.json] == [
        (ready.workflow_id, "cancel", ""),
        ("nobody", "", "There is no such run."),
    ]
    every = durable("run", "cancel", "--dry-run", "--name", "shop.checkout")
    assert (every.code, len(every.lines)) == (0, 3)
    ids = durable("run", "cancel", "--dry-run", ready.workflow_id, over.workflow_id, "-o", "ids")
    assert ids.lines == [ready.workflow_id]
    assert list(Workflow.objects.order_by("pk").values()) == before
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "Which runs? Give ids, - for ids on stdin, or conditions."),
        (("one", "--name", "x"), "Give ids or conditions, not both."),
        (("one", "--in-background"), "--in-background takes conditions, no ids."),
    ],
)
def test_what_says_nothing_or_two_things_is_a_wrong_command_line(arguments, sentence):
    """Exit 2."""
    said = durable("run", "cancel", *arguments)
    assert (said.code, said.err) == (2, sentence)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("run", "cancel", "--name", ""), "argument --name: it is empty"),
        (("run", "cancel", "--id-prefix", " "), "argument --id-prefix: it is empty"),
        (("run", "list", "--since", "yesterday"), "'yesterday' is no span such as 90s"),
        (("run", "list", "--since", "2026-13-01T00:00"), "month must be in 1..12"),
        (("run", "list", "--limit", "0"), "'0' is not a whole number above zero"),
        (("run", "list", "--limit", "99999999999"), "is not a whole number above zero"),
        (("run", "list", "--watch", "99999999w"), "is longer than a hundred years"),
        (("run", "list", "-o", "xml"), "invalid choice: 'xml'"),
        (("run", "send", "x", "{"), "argument JSON: not JSON"),
        (("run", "send", "x", "[" * 100_000), "argument JSON: not JSON"),
        (("run", "start", "x", "--kwarg", "=1"), "'=1' is not NAME=VALUE"),
        (("run", "fork", "x", "--step", "two"), "'two' is not a whole number above zero"),
        (("queue", "set", "q", "--limiter", "5"), "'5' is no rate such as 50/1m, nor none"),
        (("run", "cancel", "x", "--reason", "\x00"), "has characters that databases do not store"),
        (("run", "fly"), "invalid choice: 'fly'"),
        (("fly",), "invalid choice: 'fly'"),
        ((), "the following arguments are required: NOUN"),
    ],
)
def test_a_wrong_argument_is_named_with_its_value(arguments, sentence):
    """argparse says it, with exit 2 where a shell asks (tested in a process)."""
    said = durable(*arguments)
    assert said.out == ""
    assert sentence in said.err


def test_many_by_workers():
    """A3. --in-background begins a bulk operation with the conditions as they are; it asks, too."""
    for _ in range(2):
        made(Status.ENQUEUED)
    refused = durable("run", "cancel", "--name", "shop.checkout", "--in-background")
    assert (refused.code, refused.err) == (3, "This would cancel 2 runs: add --yes to do it.")
    said = durable(
        "run", "cancel", "--name", "shop.checkout", "--since", "1d", "--children", "--in-background", "--yes",
        "--reason", "sale is over", "-o", "ids",
    )  # fmt: skip
    operation = BulkOperation.objects.get()
    assert (said.code, said.lines) == (0, [str(operation.pk)])
    assert (operation.verb, operation.matched, operation.reason) == ("cancel", 2, "sale is over")
    assert operation.options == {"cancel_children": True}
    assert operation.filter.keys() == {"name", "start_time"}
    shown = durable("bulk", "get", str(operation.pk), "-o", "json").json
    assert (shown["state"], shown["matched"], shown["done"]) == ("ENQUEUED", 2, 0)
    assert durable("bulk", "list", "-o", "ids").lines == [str(operation.pk)]
    assert durable("bulk", "list").lines[0].split()[:3] == ["ID", "VERB", "STATE"]
    assert durable("bulk", "cancel", str(operation.pk)).code == 0
    assert durable("bulk", "get", str(operation.pk), "-o", "json").json["state"] == "CANCELLED"
    assert durable("bulk", "cancel", str(operation.pk)).code == 3
    assert durable("bulk", "get", "4711").code == 4


def test_a_run_is_started_with_its_options():
    """Arguments are JSON, or else text; what no code has is not found."""
    said = durable(
        "run", "start", "typed_workflow", "[1]", "--kwarg", "also=text", "--id", "mine", "--queue", "default",
        "--priority", "3", "--delay", "1h", "--timeout", "2m", "--deduplication-id", "d",
        "--attribute", "customer=ann", "--reason", "by hand", "-o", "json",
    )  # fmt: skip
    assert (said.code, said.json[0]["made"]) == (0, "mine")
    run = Workflow.objects.get()
    assert run.inputs == '{"args":[[1]],"kwargs":{"also":"text"}}'
    assert (run.status, run.priority, run.timeout) == ("DELAYED", 3, timedelta(minutes=2))
    assert (run.deduplication_id, run.attributes) == ("d", {"customer": "ann"})
    assert run.run_after is not None
    assert run.run_after > clock.now()
    taken = durable("run", "start", "typed_workflow", "--id", "mine")
    assert (taken.code, "in use" in taken.err) == (1, True)
    assert durable("run", "start", "no.such.workflow").code == 4
    assert durable("run", "start", "typed_workflow", "--id", "x" * 300).code == 2


def test_a_message_is_sent_once_for_a_key():
    """JSON to a topic; tried again with its key it is one message."""
    run = made(Status.WAITING)
    for _ in range(2):
        assert durable("run", "send", run.workflow_id, '{"a": 1}', "--topic", "paid", "--key", "k").code == 0
    message = Message.objects.get()
    assert (message.topic, message.value) == ("paid", '{"a":1}')


def test_a_fork_has_the_id_version_and_queue_that_were_asked_for():
    """`fork --step --forked-id --to-version --to-queue`."""
    run = with_steps(made(), "reserve", "charge")
    arguments = ("--step", "2", "--forked-id", "again", "--to-version", "2.0", "--to-queue", "default")
    assert durable("run", "fork", run.workflow_id, *arguments, "-o", "ids").lines == ["again"]
    new = Workflow.objects.get(workflow_id="again")
    assert (new.app_version, new.queue_name, new.forked_from) == ("2.0", "default", run.workflow_id)
    assert [one.name for one in new.steps.all()] == ["reserve"]


def test_a_fork_takes_arguments_as_a_start_does():
    """They replace the old ones; the copied steps keep what they made of these, and stderr says so."""
    run = with_steps(made(name="typed_workflow"), "reserve", "charge")
    said = durable(
        "run", "fork", run.workflow_id, "[1]", "--kwarg", "also=text", "--step", "2", "--forked-id", "edited"
    )
    assert said.code == 0
    assert "copied as they were recorded, with the old arguments" in said.err
    fork = Workflow.objects.get(workflow_id="edited")
    assert (fork.inputs, fork.steps.count()) == ('{"args":[[1]],"kwargs":{"also":"text"}}', 1)
    wrong = durable("run", "fork", run.workflow_id, "--kwarg", "colour=1")
    assert (wrong.code, "do not fit" in wrong.err) == (2, True)


def test_a_bar_is_drawn_for_one_who_watches_and_only_then(monkeypatch):
    """On stderr, not with --quiet, NO_COLOR or without a terminal; stdout stays what it is."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    ids = [made(Status.ENQUEUED).workflow_id for _ in range(4)]
    watched = durable("run", "cancel", ids[0], "nobody", "-o", "ids", watched=True)
    assert watched.err.startswith("\rcancel [")
    assert f"\rcancel [{'#' * 30}] 2 of 2\n" in watched.err
    assert watched.out == f"{ids[0]}\n"
    assert durable("run", "cancel", ids[1], "-o", "ids").err == ""
    assert durable("run", "cancel", ids[2], "-o", "ids", "--quiet", watched=True).err == ""
    monkeypatch.setenv("NO_COLOR", "1")
    assert durable("run", "cancel", ids[3], "-o", "ids", watched=True).err == ""


def test_the_first_ctrl_c_lets_the_present_run_be_the_last_one(monkeypatch):
    """What was done is printed; exit 130; the rest is untouched; the handler is as before."""
    ids = [made(Status.ENQUEUED).workflow_id for _ in range(3)]
    before = signal.getsignal(signal.SIGINT)
    done = Operator.cancel

    def cancel(self: Any, workflow_ids: list[str], **options: Any) -> Any:
        if workflow_ids == ids[1:2]:
            signal.raise_signal(signal.SIGINT)
        return done(self, workflow_ids, **options)

    monkeypatch.setattr(Operator, "cancel", cancel)
    said = durable("run", "cancel", *ids, "-o", "ids")
    assert (said.code, said.lines, said.err) == (130, ids[:2], "Interrupted.")
    assert Workflow.objects.filter(status=Status.ENQUEUED).count() == 1
    assert signal.getsignal(signal.SIGINT) is before


def test_descendants_are_cancelled_or_deleted_with_their_parent():
    """--children."""
    parent = made(Status.PENDING)
    child = made(Status.ENQUEUED, parent_workflow_id=parent.workflow_id)
    assert durable("run", "cancel", parent.workflow_id, "--children").code == 0
    assert statuses(parent, child) == ["CANCELLED"] * 2
    assert durable("run", "delete", parent.workflow_id, "--children").code == 0
    assert not Workflow.objects.exists()


@pytest.mark.parametrize(
    ("line", "code", "sentence"),
    [
        ("run start NAME --queue nowhere", 2, "there is no queue 'nowhere'"),
        ("run start NAME --queue tenants", 2, "it takes a partition key"),
        ("run fork CANCELLED --step 99", 2, "start_step is a number from 1 to 1"),
        ("run fork CANCELLED --to-queue nowhere", 2, "there is no queue 'nowhere'"),
        ("run rewind CANCELLED --step 99", 2, "start_step is a number from 1 to 1"),
        ("run send WAITING 1 --topic durable.approval.1", 2, "is the engine's topic"),
        ("run retry OWN", 3, "ask for it anew"),
        ("queue pause tenants --until 2020-01-01", 2, "the pause would end before it begins"),
        ("schedule backfill hourly 2999-01-01 2999-01-02", 2, "ends by now"),
        ("schedule backfill hourly 2020-01-02 2020-01-01", 2, "begins before it ends"),
    ],
)
def test_a_mistake_is_told_apart_from_a_state(line, code, sentence):
    """Exit 2 for what is typed wrong, 3 for what cannot be done to this run; nothing is done."""
    register_queue("tenants", partition_queue=True)
    create_schedule(schedule_name="hourly", workflow_fn=typed_workflow, schedule="0 * * * *")
    ids = {
        "NAME": typed_workflow.name,
        "CANCELLED": made(Status.CANCELLED).workflow_id,
        "WAITING": made(Status.WAITING).workflow_id,
        "OWN": made(Status.ERROR, name="durable.bulk_operation").workflow_id,
    }
    said = durable(*[ids.get(word, word) for word in line.split()])
    assert (said.code, sentence in said.err) == (code, True), said
    assert Workflow.objects.count() == 3
