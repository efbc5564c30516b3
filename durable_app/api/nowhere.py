"""What answers where there is nothing: a problem like any other, to those who may be here at all."""

from typing import Any

from rest_framework.request import Request

from durable_app.api.base import DurableView
from durable_app.api.permissions import VIEW
from durable_app.api.problems import Problem


class Nowhere(DurableView):
    """Any other URL below ours."""

    schema = None

    @property
    def verb(self) -> str:
        """Any method, for anybody who may look."""
        return "ANY"

    needs = {"ANY": VIEW}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Say that there is nothing, whatever was asked of it."""
        self.request = request
        self.check_permissions(request)
        raise Problem("not-found")
