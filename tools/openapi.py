"""Write the API's OpenAPI document to the file that is checked in: `python -m tools.openapi`."""

import os
from pathlib import Path

import django

FILE = Path(__file__).resolve().parent.parent / "docs" / "openapi.yaml"


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    from durable_app.api.openapi import as_yaml, document  # noqa: PLC0415  (it needs Django's settings)

    FILE.write_text(as_yaml(document("tests.urls")))


if __name__ == "__main__":
    main()
