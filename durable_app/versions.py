"""Changed code: patches inside a workflow, and versions of the whole application.

``patch`` lets old and new runs go through one function; versions send each run to workers of its own code.
"""

from collections.abc import Awaitable
from functools import partial

from asgiref.sync import markcoroutinefunction

from durable_app.engine import patches
from durable_app.engine import versions as code
from durable_app.engine.context import require_trunk
from durable_app.engine.flow import adrive, drive_blocking
from durable_app.errors import InvalidOptionError, NonExistentVersionError
from durable_app.identifiers import is_storable
from durable_app.store import versions
from durable_app.store.versions import VersionInfo
from durable_app.verbs import perform, verb_flow

# Patches


def patch(name: str) -> bool:
    """Return whether the new code is to run: True unless the run has gone past this place with the old.

    A new run records a marker here, a step named ``durable.patch-<name>``. Raises NotInWorkflowError
    outside a workflow, NotAllowedInStepError in a step.
    """
    return drive_blocking(patches.patch(require_trunk("patch"), name), "apatch")


@markcoroutinefunction
def apatch(name: str) -> Awaitable[bool]:
    """Async twin of ``patch``; to be awaited by itself.

    Raises PatchNondeterminismError if other operations start before it is answered.
    """
    return adrive(patches.patch(require_trunk("apatch"), name))


def deprecate_patch(name: str) -> bool:
    """Pass over the marker of a patch if the run has one, and return True: the old code is gone.

    For when no run is left that began before the patch. The call may go when none is left that has the
    marker; if it goes too early, such a run raises UnexpectedStepError.
    """
    return drive_blocking(patches.deprecate_patch(require_trunk("deprecate_patch"), name), "adeprecate_patch")


@markcoroutinefunction
def adeprecate_patch(name: str) -> Awaitable[bool]:
    """Async twin of ``deprecate_patch``."""
    return adrive(patches.deprecate_patch(require_trunk("adeprecate_patch"), name))


# Versions


def application_version() -> str:
    """Return the version of this process's code, ``DURABLE["APP_VERSION"]``; empty: runs are not pinned."""
    return code.current()


def list_application_versions() -> list[VersionInfo]:
    """Return the versions that workers have registered, the latest first."""
    return perform("listApplicationVersions", "alist_application_versions", versions.all_versions)


@markcoroutinefunction
def alist_application_versions() -> Awaitable[list[VersionInfo]]:
    """Async twin of ``list_application_versions``."""
    return adrive(verb_flow("listApplicationVersions", versions.all_versions))


def get_latest_application_version() -> VersionInfo:
    """Return the version that takes the runs which name none; raises NonExistentVersionError if none is."""
    return perform("getLatestApplicationVersion", "aget_latest_application_version", _latest)


@markcoroutinefunction
def aget_latest_application_version() -> Awaitable[VersionInfo]:
    """Async twin of ``get_latest_application_version``."""
    return adrive(verb_flow("getLatestApplicationVersion", _latest))


def _latest() -> VersionInfo:
    found = versions.latest()
    if found is None:
        raise NonExistentVersionError
    return found


def set_latest_application_version(version_name: str) -> None:
    """Let a registered version take the runs which name none; raises NonExistentVersionError.

    This is how a deployment is rolled back: the older code's workers run already, but are not the latest.
    """
    verb = partial(versions.set_latest, version_name)
    perform("setLatestApplicationVersion", "aset_latest_application_version", verb)


@markcoroutinefunction
def aset_latest_application_version(version_name: str) -> Awaitable[None]:
    """Async twin of ``set_latest_application_version``."""
    return adrive(verb_flow("setLatestApplicationVersion", partial(versions.set_latest, version_name)))


def move_to_application_version(version_name: str, new_version_name: str | None) -> int:
    """Hand the waiting runs of a version over to another (None: the latest's); return how many.

    For a version that no worker will run again. Runs that execute now keep theirs. Their history must fit
    the new code, or they are blocked there. Raises InvalidOptionError for a name that can be no version's.
    """
    verb = partial(versions.reassign, version_name, _checked(new_version_name))
    return perform("moveToApplicationVersion", "amove_to_application_version", verb)


@markcoroutinefunction
def amove_to_application_version(version_name: str, new_version_name: str | None) -> Awaitable[int]:
    """Async twin of ``move_to_application_version``."""
    verb = partial(versions.reassign, version_name, _checked(new_version_name))
    return adrive(verb_flow("moveToApplicationVersion", verb))


def _checked(name: str | None) -> str | None:
    if name is not None and not (0 < len(name) <= 255 and name.strip() and is_storable(name)):
        raise InvalidOptionError(f"a version's name is a text of 1 to 255 characters, not {name!r}")
    return name
