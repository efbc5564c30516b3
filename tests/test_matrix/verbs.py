"""The verbs that are not a run's: who may use each, where it is, and something it can be done to."""

from datetime import timedelta
from itertools import count
from typing import Any

from django.core.files.base import ContentFile

from durable_app import clock, exporting
from durable_app.control import bulk
from durable_app.limits import Limits
from durable_app.models import Approval, BulkOperation, Status
from durable_app.registry import DeclaredQueue
from durable_app.store import queues
from tests.test_admin.pages import made, worker
from tests.test_admin.schedules import chimed, scheduled_row
from tests.test_matrix.people import operator_of
from tests.test_matrix.tables import table

MATRIX = table("""
verb                anonymous  nobody  viewer  operator  admin  own   foreign

queues.pause        denied     denied  denied  done      done   -     -
queues.resume       denied     denied  denied  done      done   -     -
queues.configure    denied     denied  denied  denied    done   -     -
queues.reset        denied     denied  denied  denied    done   -     -
queues.create       denied     denied  denied  denied    done   -     -

schedules.create    denied     denied  denied  denied    done   -     -
schedules.change    denied     denied  denied  denied    done   -     -
schedules.delete    denied     denied  denied  denied    done   -     -
schedules.pause     denied     denied  denied  done      done   -     -
schedules.resume    denied     denied  denied  done      done   -     -
schedules.trigger   denied     denied  denied  done      done   -     -
schedules.backfill  denied     denied  denied  done      done   -     -
schedules.sync      denied     denied  denied  denied    done   -     -

workers.quiet       denied     denied  denied  denied    done   -     -
workers.stop        denied     denied  denied  denied    done   -     -
workers.recover     denied     denied  denied  denied    done   -     -

approvals.answer    denied     denied  denied  done      done   done  missing

bulk.begin cancel   denied     denied  denied  done      done   done  nothing
bulk.begin delete   denied     denied  denied  denied    done   done  nothing
bulk.cancel         denied     denied  denied  done      done   done  missing

exports.runs        denied     denied  denied  denied    done   -     -
exports.begin       denied     denied  denied  denied    done   -     -
exports.download    denied     denied  denied  denied    done   done  missing
exports.run         denied     denied  denied  denied    done   done  missing
exports.audit       denied     denied  done    done      done   -     -

runs.change         denied     denied  denied  done      done   done  missing
runs.import         denied     denied  denied  done      done   -     -
""")
"""What a tenant begins on a run of somebody else is done to nothing; an export's file is for who began it."""

PLACES = table("""
verb                 control             admin                  rest                        terminal

queues.pause         queues.pause        queue_verb pause       POST queue-pause            queue pause
queues.resume        queues.resume       queue_verb resume      POST queue-resume           queue resume
queues.configure     queues.configure    queue_verb configure   PATCH queue                 queue set
queues.reset         queues.reset        queue_verb reset       none                        queue reset
queues.create        queues.create       queue_verb create      none                        none
queues.drain         none                none                   none                        queue drain

schedules.create     schedules.save      schedule_add           POST schedules              none
schedules.change     schedules.save      schedule_edit          PATCH schedule              none
schedules.delete     schedules.delete    schedule_verb delete   DELETE schedule             schedule delete
schedules.pause      schedules.pause     schedule_verb pause    POST schedule-pause         schedule pause
schedules.resume     schedules.resume    schedule_verb resume   POST schedule-resume        schedule resume
schedules.trigger    schedules.trigger   schedule_verb trigger  POST schedule-trigger       schedule trigger
schedules.backfill   schedules.backfill  schedule_backfill      POST schedule-backfill      schedule backfill
schedules.sync       schedules.sync      none                   none                        schedule sync

workers.quiet        workers.quiet       worker_verb quiet      POST worker-quiet           worker quiet
workers.stop         workers.stop        worker_verb stop       POST worker-stop            worker stop
workers.recover      workers.recover     worker_verb recover    POST worker-recover         worker recover
workers.recover all  none                none                   none                        recover

approvals.answer     answering.answer    approval_change        POST approval-answer        approval answer

bulk.begin cancel    bulk.begin          workflow_bulk cancel   POST bulk-operations        run cancel
bulk.begin delete    bulk.begin          workflow_bulk delete   POST bulk-operations        run delete
bulk.cancel          bulk.cancel         bulkoperation_cancel   POST bulk-operation-cancel  bulk cancel

exports.runs         none                workflow_export_list   none                        none
exports.begin        exporting.begin     workflow_export_list   none                        none
exports.download     none                workflow_exported      none                        none
exports.run          none                workflow_export        GET run-export              run export
exports.audit        none                auditevent_export      none                        none

runs.change          changing.change     none                   PATCH run                   none
runs.import          none                none                   POST runs-import            run import
runs.prune           none                none                   none                        prune

versions.set_latest  none                none                   none                        version set-latest
roles                none                none                   none                        roles
""")
"""A function of ``control``, a page of the admin, a method and a route of the API, a command.

What only a terminal has needs no row above: whoever may run manage.py may do everything.
"""

DECLARED = DeclaredQueue(
    limits=Limits(concurrency=1), polling_interval=None, priority_enabled=False, location="here"
)

_numbers = count(1)


def subject(verb: str, role: str, user: Any) -> Any:
    """Return something that a verb can be done to: a queue's name, or a row."""
    noun, _dot, word = verb.partition(".")
    match noun:
        case "queues":
            return _queue(word)
        case "schedules":
            status = "PAUSED" if word == "resume" else "ACTIVE"
            return scheduled_row(f"matrix-{next(_numbers)}", status=status)
        case "workers":
            life = timedelta(minutes=-1 if word.startswith("recover") else 1)
            return worker(f"matrix-{next(_numbers)}", expires_at=clock.now() + life)
        case "approvals":
            return question(role)
        case _:
            return _run_or_operation(verb, role, user)


def question(role: str = "", **fields: Any) -> Approval:
    """Return a question that a run asks."""
    run = made(Status.WAITING, user=owner(role))
    return Approval.objects.create(workflow=run, position=3, title="Pay?", created_at=clock.now(), **fields)


def owner(role: str) -> str:
    """Return whose a run is: the tenant's, or for what is foreign somebody else's."""
    return "somebody" if role == "foreign" else "tenant"


def _queue(word: str) -> str:
    name = f"matrix-{next(_numbers)}"
    if word == "create":
        made(Status.ENQUEUED, queue_name=name)
        return name
    queues.declare(name, DECLARED, update=True)
    queues.register(name, Limits(concurrency=2), update=True)
    if word == "resume":
        queues.pause(name, None, "")
    return name


def _run_or_operation(verb: str, role: str, user: Any) -> Any:
    status = Status.SUCCESS if verb in ("bulk.begin delete", "runs.prune") else Status.ENQUEUED
    run = made(status, name=chimed.name, user=owner(role), queue_name=f"matrix-{next(_numbers)}")
    if verb == "exports.begin":  # more than a request exports
        made(status, queue_name=run.queue_name)
    if verb not in ("bulk.cancel", "exports.download"):
        return run
    operator = operator_of(user)
    word = "cancel" if verb == "bulk.cancel" else "export"
    order = bulk.Order(name=word, conditions={"queue_name": [run.queue_name]}, options={"format": "csv"})
    operation = BulkOperation.objects.get(pk=bulk.launch(operator, order))
    if role == "foreign":
        operation.actor_id = "4711"
    if word == "export":
        operation.options = {"format": "csv", "payloads": False}
        operation.file = exporting.storage().save(f"{operation.pk}.csv", ContentFile(b"id\n"))
    operation.save()
    return operation
