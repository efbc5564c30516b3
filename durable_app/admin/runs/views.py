"""The user's own views: the conditions of the list under a name."""

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    QueryDict,
)
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from durable_app.admin.keyset import WrongLink
from durable_app.admin.live import FRAGMENT
from durable_app.admin.runs.columns import COLUMNS_VAR
from durable_app.admin.runs.conditions import FILTERS, SEARCH, conditions_of
from durable_app.admin.runs.links import RunLinks
from durable_app.store import views

KEPT = (SEARCH, *FILTERS, "o", COLUMNS_VAR)
"""The parameters of a link that make a view."""


class ViewForm(forms.Form):
    """Asks for a name."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=60)
    query = forms.CharField(required=False, max_length=4000)


class SavedViews(RunLinks):
    """The views that save and delete views."""

    def views_view(self, request: HttpRequest) -> HttpResponse:
        """Show the user's views: a page, or a late part of the list's. Keep one that is posted."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            return self._save(request)
        context = self.page_context(
            request, _("Saved views"), views=views.of(self._owner(request)), query=request.GET.urlencode()
        )
        name = "views" if FRAGMENT in request.headers else "views_page"
        return TemplateResponse(request, f"admin/durable_app/workflow/{name}.html", context)

    def _save(self, request: HttpRequest) -> HttpResponse:
        """Keep a link's conditions under a name, then lead back to them."""
        form = ViewForm(request.POST)
        if not form.is_valid():
            messages.error(request, _("A view needs a name of at most 60 characters."))
            return HttpResponseRedirect(self.list_url())
        try:
            query = self._query(request, form.cleaned_data["query"])
        except WrongLink as error:
            messages.error(request, str(error))
            return HttpResponseRedirect(self.list_url())
        name = form.cleaned_data["name"]
        if views.save(self._owner(request), name, query):
            messages.success(request, _("The view “%(name)s” is saved.") % {"name": name})
        else:
            messages.error(request, _("There are %(most)d views already: delete one.") % {"most": views.MOST})
        return HttpResponseRedirect(f"{self.list_url()}?{query}")

    def forget_view(self, request: HttpRequest, number: int) -> HttpResponse:
        """Delete one of the user's own views; others' are not there, and a link does nothing."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            name = views.delete(self._owner(request), number)
            if not name:
                raise Http404
            messages.success(request, _("The view “%(name)s” is deleted.") % {"name": name})
        return HttpResponseRedirect(self.list_url())

    def _query(self, request: HttpRequest, text: str) -> str:
        """Return what of a link makes a view; raises WrongLink for conditions that nobody can mean."""
        given, kept = QueryDict(text), QueryDict(mutable=True)
        for name in KEPT:
            if given.get(name):
                kept[name] = given[name]
        conditions_of(kept, self.actor_of(request).sees)
        return kept.urlencode()

    def _owner(self, request: HttpRequest) -> str:
        return self.actor_of(request).id
