"""What was declared under the seed's names, to be forgotten by ``DBOS.destroy(destroy_registry=True)``."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from durable_app.registry import TEMPORARY, registry

Alert = Callable[[str, str, dict[str, str]], None]


@dataclass
class Declared:
    """Names of functions, classes, queues and schedules, instances with workflows, the alert handler."""

    functions: set[str] = field(default_factory=set)
    classes: set[str] = field(default_factory=set)
    queues: set[str] = field(default_factory=set)
    schedules: set[str] = field(default_factory=set)
    instances: list[Any] = field(default_factory=list)
    alert_handler: Alert | None = None

    def forget(self) -> None:
        """Remove all of it from the registry."""
        for name in self.functions:
            registry.steps.pop(name, None)
            registry.workflows.pop(name, None)
            registry.workflows.pop(TEMPORARY + name, None)
        for names, where in (
            (self.classes, registry.classes),
            (self.queues, registry.queues),
            (self.schedules, registry.schedules),
        ):
            for name in names:
                where.pop(name, None)
            names.clear()
        mine = {id(one) for one in self.instances}
        for key in [key for key, one in registry.instances.items() if id(one) in mine]:
            del registry.instances[key]
        self.functions.clear()
        self.instances.clear()
        self.alert_handler = None


declared = Declared()
