"""``durable workflow``: what the code of this process has."""

import ast
import inspect
import json
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

from django.core.management.base import CommandParser

from durable_app import public
from durable_app.callables import Decorated
from durable_app.engine import versions
from durable_app.insight import parameters
from durable_app.management.cli.arguments import Noun, Verb, text
from durable_app.management.cli.failures import NOT_FOUND, Failure
from durable_app.management.cli.terminal import Terminal
from durable_app.registry import TEMPORARY, Definition, registry


def _shown(found: Definition) -> dict[str, Any]:
    return {
        "name": found.name,
        "location": found.location,
        "parameters": str(inspect.signature(found.func)),
        "is_async": found.is_async,
        "max_recovery_attempts": found.max_recovery_attempts,
        "serialization": found.serialization,
        "required_roles": list(found.required_roles),
        "app_version": versions.current() or None,
    }


def _list(terminal: Terminal, options: dict[str, Any]) -> None:
    found = [
        _shown(one) for name, one in sorted(registry.workflows.items()) if not name.startswith(TEMPORARY)
    ]
    terminal.show(found, ("name", "parameters", "location"), "name")


def _show(terminal: Terminal, options: dict[str, Any]) -> None:
    found = registry.workflows.get(options["name"])
    if found is None:
        raise Failure(f"No workflow named {options['name']!r} is registered.", NOT_FOUND)
    steps = list(_steps(found.func))
    if options["graph"]:
        for line in _graph(found.name, steps):
            terminal.line(line)
        return
    terminal.show_one({**_shown(found), "schema": parameters.schema(found), "steps": steps}, "name")


def _graph(name: str, steps: list[str]) -> Iterator[str]:
    """Yield a Mermaid flowchart of what a text names, in its order; branches and loops are not told apart."""
    yield "flowchart TD"
    for number, label in enumerate([name, *steps]):
        yield f"    s{number}[{json.dumps(label)}]"
    for number in range(len(steps)):
        yield f"    s{number} --> s{number + 1}"


def _named(parser: CommandParser) -> None:
    parser.add_argument("name", metavar="NAME", type=text)
    parser.add_argument("--graph", action="store_true", help="As a flowchart for Mermaid.")


# What a workflow calls, as its text tells


def _steps(func: Callable[..., Any]) -> Iterator[str]:
    """Yield the durable functions that a workflow's text names, in its order: no more than a hint."""
    body = inspect.unwrap(func)
    try:
        tree: Any = ast.parse(textwrap.dedent(inspect.getsource(body)))
    except (OSError, TypeError, SyntaxError):
        return
    lines = getattr(tree.body[0], "body", [])  # without its decorators
    if not isinstance(lines, list):
        return
    calls = [node for line in lines for node in ast.walk(line) if isinstance(node, ast.Call)]
    for node in sorted(calls, key=lambda one: (one.lineno, one.col_offset)):
        name = _durable_name(_found(node.func, getattr(body, "__globals__", {})))
        if name:
            yield f"{name} (line {body.__code__.co_firstlineno + node.lineno - 1})"


def _found(node: ast.expr, names: dict[str, Any]) -> Any:
    """Return what an expression such as ``payments.charge.acall`` names, as far as this is known."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = _found(node.value, names)
        return owner if _durable_name(owner) else inspect.getattr_static(owner, node.attr, None)
    return None


def _durable_name(found: Any) -> str:
    """Return the name of a workflow, a step or an operation of ours; empty for anything else."""
    if isinstance(found, Decorated):
        return found.name
    name = getattr(found, "__name__", "")
    is_ours = inspect.isfunction(found) and getattr(public, name, None) is found
    return f"durable_app.{name}" if is_ours else ""


NOUN = Noun(
    name="workflow",
    help="the workflows that the code has",
    verbs=(
        Verb(name="list", help="List registered workflows.", run=_list),
        Verb(
            name="show",
            help="Show a registered workflow, and what its text calls.",
            run=_show,
            arguments=_named,
        ),
    ),
)
