"""The app's own setting."""

from pathlib import Path

from django.conf import settings

SHIPPED = Path(__file__).parent / "library"


def library_folder() -> Path:
    """Return ``LIBRARY_FOLDER``: where the texts are; the shop's own manuals unless it is set."""
    return Path(getattr(settings, "LIBRARY_FOLDER", None) or SHIPPED)
