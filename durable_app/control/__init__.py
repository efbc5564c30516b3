"""What operators do, for every surface: verbs on runs, who may use them, and the record of who did.

``runs`` has the verbs themselves; ``operator`` performs them for an actor, under the same rules and with
the same audit whether a person clicks, a program asks or a command is typed.
"""

from durable_app.control.runs import cancel, delete, fork, resume, rewind, set_attributes

__all__ = ["cancel", "delete", "fork", "resume", "rewind", "set_attributes"]
