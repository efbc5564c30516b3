"""Changed code: patches inside a workflow, and versions of the whole application."""

from typing import TypedDict

from durable_app import public as ours
from durable_app.dbos.pairs import Given, given, plain, shown
from durable_app.dbos.times import epoch_ms


class VersionInfo(TypedDict):
    """A version of the application; times are epoch milliseconds."""

    version_id: str
    version_name: str
    version_timestamp: int
    created_at: int
    application_name: str | None


def _shown(found: ours.VersionInfo) -> VersionInfo:
    return VersionInfo(
        version_id=found.version_id,
        version_name=found.version_name,
        version_timestamp=epoch_ms(found.latest_at),
        created_at=epoch_ms(found.created_at),
        application_name=None,
    )


def _all_shown(found: list[ours.VersionInfo]) -> list[VersionInfo]:
    return [_shown(one) for one in found]


@plain(ours.patch, ours.apatch)
def patch(patch_name: str) -> Given:
    """Return whether the new code is to run: True unless the run has gone past this place with the old."""
    return given(patch_name)


@plain(ours.deprecate_patch, ours.adeprecate_patch)
def deprecate_patch(patch_name: str) -> Given:
    """Pass over the marker of a patch if the run has one; always True."""
    return given(patch_name)


@shown(ours.list_application_versions, ours.alist_application_versions, _all_shown)
def list_application_versions() -> Given:
    """Return the versions that have run, the latest first."""
    return given()


@shown(ours.get_latest_application_version, ours.aget_latest_application_version, _shown)
def get_latest_application_version() -> Given:
    """Return the latest version; raises DBOSException if none has run."""
    return given()


@plain(ours.set_latest_application_version, ours.aset_latest_application_version)
def set_latest_application_version(version_name: str, *, application_name: str | None = None) -> Given:
    """Make a version the latest."""
    return given(version_name)
