"""The places that texts are sealed for: which run, which field, where in it."""

from durable_app.serialization.formats import Place


def inputs(workflow_id: str) -> Place:
    """Return the place of a run's arguments."""
    return (workflow_id, "inputs")


def output(workflow_id: str) -> Place:
    """Return the place of a run's result."""
    return (workflow_id, "output")


def step(workflow_id: str, number: int, branch: str) -> Place:
    """Return the place of a step's output."""
    return (workflow_id, "step", number, branch)


def message(destination: str, topic: str) -> Place:
    """Return the place of a message."""
    return (destination, "message", topic)


def event(workflow_id: str, key: str) -> Place:
    """Return the place of an event's values."""
    return (workflow_id, "event", key)


def stream(workflow_id: str, key: str) -> Place:
    """Return the place of a stream's values."""
    return (workflow_id, "stream", key)
