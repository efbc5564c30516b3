"""The page between a verb's button and the deed: what will happen, why, and then what became of it.

GET shows it, POST does it; nothing is ever done by following a link.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from durable_app.admin.options import options
from durable_app.control.operator import Operator, Result
from durable_app.errors import DurableError, PermissionDeniedError

Act = Callable[[Operator, dict[str, Any]], list[Result]]
"""Does the verb, for an operator and the form's cleaned data; returns what became of each target."""

LONGEST_REASON = 1000


class ReasonForm(forms.Form):
    """Asks why; verbs that need to know more add fields."""

    reason = forms.CharField(
        label=_("Reason"), required=False, max_length=LONGEST_REASON, help_text=_("Kept in the audit.")
    )

    field_order: Sequence[str] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = options().REASON_REQUIRED
        self.order_fields([name for name in self.fields if name != "reason"])  # the reason comes last


@dataclass(frozen=True, kw_only=True, slots=True)
class VerbPage:
    """What a confirmation page says."""

    title: str
    verb: Any
    """The verb's label, as the button says it."""
    done: Any
    """Its participle, as the message afterwards says it: "cancelled"."""
    back_url: str
    """Where "no" leads, and "yes" too unless ``done_url`` says otherwise."""
    subject: str = ""
    """What the message calls the target; empty: by its id."""
    sentences: tuple[str, ...] = ()
    """What will happen."""
    is_destructive: bool = False
    form_class: type[ReasonForm] = ReasonForm
    initial: dict[str, Any] = field(default_factory=dict)
    hidden: tuple[tuple[str, str], ...] = ()
    """Names and values that the form posts besides."""
    marker: str = ""
    """Name of a posted value without which the page is only shown: a list's action arrives by POST, too."""
    done_url: Callable[[list[Result]], str] | None = None
    obj: Any = None
    """The row whose history notes the verb."""
    template: str = "admin/durable_app/verb.html"
    context: dict[str, Any] = field(default_factory=dict)


def confirm(model_admin: Any, request: HttpRequest, page: VerbPage, act: Act) -> HttpResponse:
    """Show a verb's page; when it is confirmed, do the verb, say what became of it, and lead on.

    The caller has checked the permission; what ``act`` finds denied all the same is a 403.
    """
    is_confirmed = request.method == "POST" and (not page.marker or page.marker in request.POST)
    form = page.form_class(request.POST if is_confirmed else None, initial=page.initial)
    if is_confirmed and form.is_valid():
        operator = model_admin.operator_of(request, form.cleaned_data.get("reason", ""))
        try:
            results = act(operator, form.cleaned_data)
        except PermissionDeniedError:
            return model_admin.forbidden(request)  # type: ignore[no-any-return]
        except DurableError as error:
            form.add_error(None, str(error))
        else:
            return _done(model_admin, request, page, results, operator.reason)
    context = model_admin.page_context(request, page.title, page=page, form=form, **page.context)
    return TemplateResponse(request, page.template, context)


def _done(
    model_admin: Any, request: HttpRequest, page: VerbPage, results: list[Result], reason: str
) -> HttpResponse:
    if results and all(one.outcome == "denied" for one in results):
        return model_admin.forbidden(request)  # type: ignore[no-any-return]
    model_admin.tell(request, results, page.done, page.subject)
    done = [one for one in results if one.is_done]
    if page.obj is not None and done:
        model_admin.note(request, page.obj, f"{page.verb}: {reason}" if reason else str(page.verb))
    if not results:
        messages.info(request, _("There was nothing to do."))
    return HttpResponseRedirect(page.done_url(results) if page.done_url and done else page.back_url)
