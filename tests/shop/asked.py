"""Views that start something, and the URLs under which tests ask for them."""

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.urls import path

from durable_app import astart_workflow, start_workflow, workflow


@workflow(name="shop.asked")
def on_request() -> None:
    """Do nothing: its row is what is looked at."""


def start(request: HttpRequest) -> HttpResponse:
    return HttpResponse(start_workflow(on_request).workflow_id)


async def astart(request: HttpRequest) -> HttpResponse:
    return HttpResponse((await astart_workflow(on_request)).workflow_id)


def nothing(request: HttpRequest) -> HttpResponse:
    return HttpResponse("nothing")


def token(request: HttpRequest) -> HttpResponse:
    """Authenticate the request as a token would, and then start something."""
    request.user = User.objects.get(username="ann")
    return start(request)


urlpatterns = [
    path("start/", start),
    path("astart/", astart),
    path("nothing/", nothing),
    path("token/", token),
]
