"""What all our admin classes share: permissions by the policy, verbs with a page of confirmation, results.

``DurableAdminMixin`` can be mixed into a project's own ModelAdmin; ``BaseAdmin`` is unfold's where that is
installed, else Django's.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import django
from django.apps import apps
from django.contrib import admin, messages
from django.contrib.admin import ShowFacets
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.forms import Script
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import get_resolver, reverse
from django.utils.functional import classproperty
from django.utils.http import urlencode
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from durable_app.admin import told
from durable_app.admin.keyset import KeysetChangeList, WrongLink
from durable_app.admin.live import rows_alone
from durable_app.admin.options import options
from durable_app.admin.visible import shown
from durable_app.control.actors import Actor
from durable_app.control.operator import Operator, Result
from durable_app.errors import InvalidOptionError, QueryTimeoutError
from durable_app.store import database

IN_UNFOLD = apps.is_installed("unfold")
"""Whether django-unfold's templates stand around ours, on whatever site."""

if TYPE_CHECKING:
    BaseAdmin = admin.ModelAdmin[Any]
elif IN_UNFOLD:
    from unfold.admin import ModelAdmin as BaseAdmin
else:
    BaseAdmin = admin.ModelAdmin

if django.VERSION >= (6, 1):
    from django.middleware.csp import get_nonce

if TYPE_CHECKING:
    MixinBase = admin.ModelAdmin[Any]
else:
    MixinBase = object

SITE = "admin"
"""The namespace of admin URLs; the site's own name goes into ``current_app``."""


def with_nonce(request: HttpRequest, media: Any) -> Any:
    """Return styles and scripts with the nonce of the project's Content-Security-Policy, if it has one.

    Django gives nonces to assets from 6.1 on.
    """
    nonce = get_nonce(request) if django.VERSION >= (6, 1) else None
    return media if nonce is None else media.render(attrs={"nonce": nonce})


class DurableAdminMixin(MixinBase):
    """Rows that nobody edits: people look at them, and use verbs."""

    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    actions_on_top = True  # without any, the stock template would have an inline style
    sortable_by = ()
    view_permission = ""
    """Codename of the permission to see rows; empty: Django's own of the model."""
    target_kind = ""
    """What the audit calls rows like these."""

    class Media:
        css = {"all": ["durable_app/durable.css"]}
        js = [Script("durable_app/durable.js", type="module")]

    @classproperty
    def list_per_page(cls) -> int:
        """Rows of a page."""
        return options().PAGE_SIZE

    @property
    def urls(self) -> list[Any]:
        """Return our views; what they show hides nothing."""
        return [shown(pattern) for pattern in self.get_urls()]

    # who may

    def actor_of(self, request: HttpRequest) -> Actor:
        """Return who sent a request."""
        return Actor.of_request(request)

    def may(self, request: HttpRequest, permission: str, target: Any = None) -> bool:
        """Return whether the policy lets the user use a verb, on a target if one is given."""
        return self.actor_of(request).may(permission, target)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Ask the policy."""
        return self.may(request, self.view_permission or f"view_{self.opts.model_name}", obj)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show the entry to those who may see its rows."""
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Rows are written by verbs."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows are written by verbs."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows are deleted by verbs."""
        return False

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return the rows of the engine's database, wherever that is."""
        return super().get_queryset(request).using(database.alias())

    # lists

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        """Return the change list of the theme, made to page by key."""
        found: Any = super().get_changelist(request, **kwargs)
        return type("DurableChangeList", (KeysetChangeList, found), {})

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Show the list, or its rows; what is wrong or takes too long is said on a page, not a 500."""
        try:
            title = {"title": capfirst(self.opts.verbose_name_plural)}
            found: Any = super().changelist_view(request, {**title, **(extra_context or {})})
            if getattr((getattr(found, "context_data", None) or {}).get("cl"), "trouble", ""):
                found.status_code = 400
            return rows_alone(request, found)
        except (WrongLink, DisallowedModelAdminLookup, InvalidOptionError) as error:
            return self.trouble(request, 400, _("This link does not work"), str(error))
        except QueryTimeoutError:
            sentence = _("The search takes too long. Choose a shorter time, or fewer conditions.")
            return self.trouble(request, 503, _("Please narrow your search"), sentence)

    def trouble(self, request: HttpRequest, status: int, title: Any, sentence: str) -> HttpResponse:
        """Return a page that says what went wrong."""
        context = self.page_context(request, title, sentence=sentence)
        return TemplateResponse(request, "admin/durable_app/trouble.html", context, status=status)

    # pages

    def page_context(self, request: HttpRequest, title: Any, **more: Any) -> dict[str, Any]:
        """Return what every page of ours needs in its template.

        Unfold has breadcrumbs of its own making, and no title. They end with ``object``: on the row's own
        page that would be its name for a second time.
        """
        request.current_app = self.admin_site.name
        if IN_UNFOLD and "object_url" not in more:
            more.pop("object", None)
        return {
            **self.admin_site.each_context(request),
            "title": title,
            "subtitle": None,
            "opts": self.opts,
            "media": with_nonce(request, self.media),
            "list_url": self.list_url(),
            "in_unfold": IN_UNFOLD,
            "crumbs_are_a_list": django.VERSION >= (6, 1),
            **more,
        }

    def list_url(self) -> str:
        """Return the URL of the list."""
        name = f"{SITE}:{self.opts.app_label}_{self.opts.model_name}_changelist"
        return reverse(name, current_app=self.admin_site.name)

    def url_of_list(self, request: HttpRequest, model: Any, **query: str) -> str:
        """Return the URL of another entry's list; empty if this site or this user does not have it."""
        site: Any = self.admin_site
        if not site.is_registered(model) or not site.get_model_admin(model).has_view_permission(request):
            return ""
        name = f"{SITE}:{model._meta.app_label}_{model._meta.model_name}_changelist"
        url = reverse(name, current_app=site.name)
        return f"{url}?{urlencode(query)}" if query else url

    def object_url(self, pk: Any) -> str:
        """Return the URL of a row's page."""
        name = f"{SITE}:{self.opts.app_label}_{self.opts.model_name}_change"
        return reverse(name, args=[quote(pk)], current_app=self.admin_site.name)

    def found(self, request: HttpRequest, object_id: Any) -> Any:
        """Return a row, or raise Http404; those who may not see it learn nothing of it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        obj = self.get_object(request, unquote(str(object_id)))
        if obj is None or not self.has_view_permission(request, obj):
            raise Http404
        return obj

    def forbidden(self, request: HttpRequest) -> HttpResponse:
        """Return the project's 403 page. Raised, it would roll back the audit under ATOMIC_REQUESTS."""
        handler: Any = get_resolver().resolve_error_handler(403)
        response: HttpResponse = handler(request, exception=PermissionDenied())
        return response

    # verbs

    def denied(self, request: HttpRequest, verb: str, target: str = "", kind: str = "") -> HttpResponse:
        """Record that the user may not use a verb, and return the 403 page.

        Without a target it is an attempt of somebody who may see none.
        """
        self.operator_of(request).deny(verb, target, kind or self.target_kind)
        return self.forbidden(request)

    def operator_of(self, request: HttpRequest, reason: str = "") -> Operator:
        """Return the user as an operator, whose verbs are audited."""
        return Operator(actor=self.actor_of(request), reason=reason)

    def tell(
        self, request: HttpRequest, results: Sequence[Result], participle: Any, subject: str = ""
    ) -> None:
        """Tell the user what became of a verb: a sentence for what was done, one for each reason why not."""
        sentence = told.done(results, participle, subject)
        if sentence:
            messages.success(request, sentence)
        for one in told.left(results, subject):
            messages.warning(request, one)

    def note(self, request: HttpRequest, obj: Any, sentence: str) -> None:
        """Write a verb that was done into Django's own history of a row, beside the audit."""
        self.log_change(request, obj, sentence)
