"""What becomes of a verb on a run, as an answer: done, or a problem that says what would be possible."""

from typing import Any

from rest_framework import serializers

from durable_app.api.problems import settled
from durable_app.control.actors import Actor
from durable_app.control.operator import Result
from durable_app.control.verbs import VERBS
from durable_app.store import runs


class VerbResultSerializer(serializers.Serializer[Any]):
    """What became of a verb on a run."""

    id = serializers.CharField(source="target")
    outcome = serializers.ChoiceField(choices=["done", "denied", "refused", "failed"])
    detail = serializers.CharField(allow_blank=True, help_text="Why not.")
    made = serializers.CharField(allow_null=True, help_text="The run that the verb made.")

    def to_representation(self, instance: Result) -> Any:
        """Show the result; an id that does not exist is null."""
        return {
            "id": instance.target,
            "outcome": instance.outcome,
            "detail": instance.detail,
            "made": instance.made or None,
        }


def run_settled(actor: Actor, result: Result) -> Result:
    """Return a verb's result if it is done, or raise its problem with the run's state, and what it allows."""
    if result.outcome != "refused":
        return settled(result)
    run = runs.find(result.target, actor.sees)
    if run is None:
        return settled(result)
    allowed = sorted(verb.name for verb in VERBS.values() if run.status in verb.possible_in)
    return settled(result, run_status=run.status, allowed=allowed)
