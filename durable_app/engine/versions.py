"""Which version of the project's code this process runs."""

import hashlib
import inspect
import textwrap
from collections.abc import Iterable
from functools import cache

from durable_app import conf
from durable_app.registry import TEMPORARY, Definition, registry

AUTO = "auto"


def current() -> str:
    """Return the version of this process's code, empty if runs are not pinned."""
    chosen = conf.options().APP_VERSION
    return chosen if chosen != AUTO else loaded_hash()


@cache
def loaded_hash() -> str:
    """Return the hash of the workflows that were registered when Django had loaded the project.

    Those of modules that some process imports later do not count: others might never import them.
    """
    return source_hash(registry.loaded)


def source_hash(definitions: Iterable[Definition]) -> str:
    """Return a hash of the workflows' names and sources, the same in every process and on every host.

    Steps do not count: what they do may change without a run noticing.
    """
    digest = hashlib.sha256()
    for one in sorted(definitions, key=lambda found: found.name):
        if not one.name.startswith(TEMPORARY):
            digest.update(f"{one.name}\n{_source(one)}\n".encode())
    return digest.hexdigest()[:16]


def _source(definition: Definition) -> str:
    func = inspect.unwrap(definition.func)
    try:
        lines = textwrap.dedent(inspect.getsource(func)).splitlines()
    except (OSError, TypeError):  # typed at a prompt, or shipped without sources
        code = getattr(func, "__code__", None)
        return "" if code is None else f"{code.co_code.hex()} {code.co_names} {code.co_varnames}"
    return "\n".join(line.rstrip() for line in lines)
