"""The workloads, as data."""

from functools import partial

from benchmarks.queue_drives import answer, drain, enqueue_in_bulk, enqueue_singly, idle, pick_up, play
from benchmarks.run_drives import in_sequence, together
from benchmarks.workload import SQLITE, AtMost, Kind, Times, Workload

FLOORS = ("floor leader", "floor leader+fence")
QUEUES = ("dbos queue", "procrastinate", "pgqueuer", "durable queue", "durable queue async", "floor queue")

RUNS = (
    Workload(
        group="W1",
        name="W1",
        title="one workflow with one step, one thread",
        unit="workflows",
        drive=partial(in_sequence, steps=1),
        systems=("dbos", "durable", *FLOORS),
        baseline="dbos",
        ours="durable",
        floor="floor leader+fence",
        budgets=(Times(times=4, system="dbos"),),
    ),
    Workload(
        group="W2",
        name="W2/10",
        title="one workflow with 10 steps, one thread",
        unit="steps",
        drive=partial(in_sequence, steps=10),
        systems=("dbos", "durable", *FLOORS),
        baseline="dbos",
        ours="durable",
        floor="floor leader+fence",
        budgets=(Times(times=8, system="dbos"),),
    ),
    Workload(
        group="W2",
        name="W2/100",
        title="one workflow with 100 steps, one thread",
        unit="steps",
        drive=partial(in_sequence, steps=100),
        systems=("dbos", "durable", *FLOORS),
        baseline="dbos",
        ours="durable",
        floor="floor leader+fence",
        budgets=(Times(times=8, system="dbos"),),
    ),
    Workload(
        group="W3",
        name="W3",
        title="64 concurrent workflows of 10 steps, threads of one process",
        unit="steps",
        drive=partial(together, count=64, steps=10),
        systems=("dbos", "durable", "durable worker", *FLOORS),
        baseline="dbos",
        ours="durable",
        floor="floor leader+fence",
        budgets=(Times(times=12, system="dbos"),),
    ),
    Workload(
        group="W3a",
        name="W3a",
        title="64 concurrent workflows of 10 steps, one event loop",
        unit="steps",
        drive=partial(together, count=64, steps=10),
        systems=("dbos async", "durable async", "floor async"),
        baseline="dbos async",
        ours="durable async",
        floor="floor async",
        budgets=(Times(times=15, system="dbos async"),),
    ),
)

LINES = (
    Workload(
        group="W4",
        name="W4/enqueue",
        title="enqueue one by one, one thread; nobody drains",
        unit="jobs",
        drive=enqueue_singly,
        systems=("dbos queue", "procrastinate", "pgqueuer", "durable queue", "floor queue"),
        baseline="dbos queue",
        ours="durable queue",
        floor="floor queue",
        budgets=(Times(times=2.5, system="dbos queue"),),
    ),
    Workload(
        group="W4",
        name="W4/drain",
        title="drain jobs that do nothing, one worker process",
        unit="jobs",
        drive=partial(drain, processes=1),
        systems=QUEUES,
        baseline="dbos queue",
        ours="durable queue",
        floor="floor queue",
        budgets=(Times(times=10, system="dbos queue"), Times(times=1.5, system="pgqueuer")),
    ),
    Workload(
        group="W4",
        name="W4/drain2",
        title="drain jobs that do nothing, two worker processes",
        unit="jobs",
        drive=partial(drain, processes=2),
        systems=QUEUES,
        baseline="dbos queue",
        ours="durable queue",
        floor="floor queue",
    ),
    Workload(
        group="W4b",
        name="W4b/enqueue",
        title="enqueue in bulk",
        unit="jobs",
        drive=enqueue_in_bulk,
        systems=("procrastinate", "pgqueuer", "durable queue", "floor queue"),
        baseline="pgqueuer",
        ours="durable queue",
        floor="floor queue",
        budgets=(Times(times=1, system="pgqueuer"),),
    ),
    Workload(
        group="W4b",
        name="W4b/drain",
        title="drain jobs that were enqueued in bulk, one worker process",
        unit="jobs",
        drive=partial(drain, processes=1, in_bulk=True),
        systems=QUEUES[1:],
        baseline="pgqueuer",
        ours="durable queue",
        floor="floor queue",
        budgets=(Times(times=1.5, system="pgqueuer"),),
    ),
    Workload(
        group="W5",
        name="W5",
        title="from enqueue to the first line of the job, idle queue",
        unit="jobs",
        drive=pick_up,
        systems=("dbos queue", "dbos queue, eager", *QUEUES[1:]),
        baseline="dbos queue",
        ours="durable queue",
        floor="floor queue",
        budgets=(
            AtMost(most=10, figure="p50_ms", unit="ms at p50"),
            AtMost(most=30, figure="p99_ms", unit="ms at p99"),
        ),
        kind=Kind.LATENCY,
    ),
    Workload(
        group="W5",
        name="W5/idle",
        title="what a worker costs while there is nothing to do",
        unit="statements",
        drive=idle,
        systems=("dbos queue", "dbos queue, eager", "procrastinate", "pgqueuer", "durable queue", "floor queue"),
        baseline="dbos queue",
        ours="durable queue",
        floor="floor queue",
        budgets=(
            AtMost(most=2, figure="per_second", unit="statements a second"),
            AtMost(most=0.5, figure="cpu_percent", unit="% of a core"),
        ),
        kind=Kind.IDLE,
    ),
    Workload(
        group="W5r",
        name="W5r",
        title="from enqueue to the result in the process that enqueued, idle queue",
        unit="jobs",
        drive=answer,
        systems=("dbos queue", "pgqueuer", "durable queue", "durable queue async", "floor queue"),
        baseline="dbos queue",
        ours="durable queue",
        floor="floor queue",
        budgets=(AtMost(most=25, figure="p50_ms", unit="ms at p50"),),
        kind=Kind.LATENCY,
    ),
    Workload(
        group="W6",
        name="W6/messages",
        title="send and recv there and back, two processes",
        unit="round trips",
        drive=partial(play, game="messages"),
        systems=("dbos queue", "durable queue", "floor queue"),
        baseline="dbos queue",
        ours="durable queue",
        floor="floor queue",
        budgets=(AtMost(most=8, figure="p50_ms", unit="ms at p50"),),
        kind=Kind.LATENCY,
    ),
    Workload(
        group="W6",
        name="W6/events",
        title="set_event and get_event there and back, two processes",
        unit="round trips",
        drive=partial(play, game="events"),
        systems=("dbos queue", "durable queue"),
        baseline="dbos queue",
        ours="durable queue",
        kind=Kind.LATENCY,
    ),
)

EMBEDDED = (
    Workload(
        group="W10",
        name="W10/1",
        title="SQLite: one workflow with one step, one thread",
        unit="workflows",
        drive=partial(in_sequence, steps=1),
        systems=("dbos", "durable"),
        baseline="dbos",
        ours="durable",
        vendor=SQLITE,
    ),
    Workload(
        group="W10",
        name="W10/10",
        title="SQLite: one workflow with 10 steps, one thread",
        unit="steps",
        drive=partial(in_sequence, steps=10),
        systems=("dbos", "durable"),
        baseline="dbos",
        ours="durable",
        budgets=(Times(times=5, system="dbos"),),
        vendor=SQLITE,
    ),
    Workload(
        group="W10",
        name="W10/16",
        title="SQLite: 16 concurrent workflows of 10 steps, threads of one process",
        unit="steps",
        drive=partial(together, count=16, steps=10),
        systems=("dbos", "durable"),
        baseline="dbos",
        ours="durable",
        budgets=(Times(times=10, system="dbos"),),
        vendor=SQLITE,
    ),
)

WORKLOADS = RUNS + LINES + EMBEDDED


def named(name: str) -> Workload:
    return next(workload for workload in WORKLOADS if workload.name == name)


def in_groups(groups: list[str]) -> list[Workload]:
    """Return the workloads of these groups, in the order of the report."""
    return [workload for workload in WORKLOADS if workload.group in groups]
