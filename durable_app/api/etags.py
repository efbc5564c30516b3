"""Changes that overwrite nobody else's: ``ETag`` in answers, ``If-Match`` in requests (RFC 9110)."""

import hashlib
import json
from typing import Any

from django.utils.http import parse_etags
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from durable_app.api.problems import Problem


def etag(shown: Any) -> str:
    """Return the tag of a resource, as it is shown."""
    text = json.dumps(json.loads(JSONRenderer().render(shown)), sort_keys=True)
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def require_match(request: Request, tag: str) -> None:
    """Raise Problem if a request was made for another state of the resource than this.

    One without ``If-Match`` means any state. Call it with the row locked, in the transaction of the change.
    """
    wanted = request.headers.get("If-Match")
    if wanted is None:
        return
    tags = parse_etags(wanted)
    if "*" not in tags and tag not in tags:
        raise Problem("precondition-failed", headers={"ETag": tag})
